"""Telling people: what is worth a message, to whom, and sending it at least once.

- `model`, `load`: the channels of a system, from `group_vars/all/notifications.yml` and its secrets;
- `notices`: what has happened, and which of it is news (a failure, a recovery, what was missed);
- `texts`, `digest`: the words; `outbox`: what is to be sent, each thing once a channel;
- `deliver`: sending by apprise, and pinging a dead man's switch;
- `service`: `Notifier`, whose `tick()` does all of it once and whose `serve(stop)` repeats it.
"""
