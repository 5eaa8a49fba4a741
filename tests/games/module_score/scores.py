score = 0
