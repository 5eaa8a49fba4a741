from random import randint
from retro.game import Game

HEIGHT = 12
WIDTH = 10

class Spaceship:
    name = "ship"
    character = '^'
    position = (WIDTH // 2, HEIGHT - 1)
    color = "black_on_skyblue1"

    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        if keystroke.name in ("KEY_LEFT", "KEY_RIGHT"):
            if keystroke.name == "KEY_LEFT":
                new_position = (x - 1, y)
            else:
                new_position = (x + 1, y)
            if game.on_board(new_position):
                if game.is_empty(new_position):
                    self.position = new_position
                else:
                    game.end()

class Asteroid:
    character = 'O'
    color = "deepskyblue1_on_skyblue1"

    def __init__(self, position):
        self.position = position

    def play_turn(self, game):
        if game.turn_number % 2 == 0:
            x, y = self.position
            if y == HEIGHT - 1:
                game.remove_agent(self)
            else:
                ship = game.get_agent_by_name('ship')
                new_position = (x, y + 1)
                if new_position == ship.position:
                    game.end()
                else:
                    self.position = new_position

class AsteroidSpawner:
    display = False

    def play_turn(self, game):
        game.state['score'] += 1
        if self.should_spawn_asteroid(game.turn_number):
            asteroid = Asteroid((randint(0, WIDTH - 1), 0))
            game.add_agent(asteroid)

    def should_spawn_asteroid(self, turn_number):
        return randint(0, 200) < turn_number + 30

ship = Spaceship()
spawner = AsteroidSpawner()
state = {"score": 0}
game = Game(
    [ship, spawner],
    state,
    board_size=(WIDTH, HEIGHT),
    color="deepskyblue4_on_skyblue1",
)
game.play()
