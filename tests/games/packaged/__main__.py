from .world import build

build().play()
