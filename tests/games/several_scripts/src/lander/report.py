def write():
    with open("report.txt", "w") as file:
        file.write("nothing to report")
