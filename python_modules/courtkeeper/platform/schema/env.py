"""Alembic's entry: runs the steps on the connection that `alembic_run.upgrade` hands over."""

from alembic import context

# Two of them at once would both create everything: the second waits here and finds it done.
connection = context.config.attributes["connection"]
connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('courtkeeper schema'))")
context.configure(connection=connection, target_metadata=None)
with context.begin_transaction():
    context.run_migrations()
