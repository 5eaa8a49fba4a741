def open_it():
    import tkinter
    tkinter.Tk().mainloop()
