"""How well tasks are learnt."""
