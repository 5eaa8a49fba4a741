RECIPES = ["soup", "bread"]
