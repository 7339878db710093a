"""The reference API: games, play-by-play and box scores from Postgres, cached in Redis.

`python -m courtkeeper.platform.api --config FILE` serves it. `config` is that file, `database` asks
Postgres (the SQL is in `sql/`), `cache` is Redis with the rule that keeps it honest, `metrics` is for
Prometheus, `health` judges, `app` is the Starlette application.
"""
