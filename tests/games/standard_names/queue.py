class Line:
    character = "L"
    position = (4, 4)
