"""How well: trainings of fixed budgets, evaluated, and the scripted experts they are held against."""
