"""The dashboard: what ran, what it found, what needs a person and what comes next, as pages and as JSON.

- `access`: where it listens and who may come in; it refuses to start where anybody could;
- `tokens`, `sessions`, `guard`: who is asking, and that a request is his own (Host, Origin, CSRF);
- `site`: the store, the calendars and the clock that all pages share;
- `pages/`: one file a page, each a plain function from the store's rows to what its template shows;
- `deeds`: what a person can do (approve, hold, release, run, cancel), for forms and for the API alike;
- `api`, `openapi`, `metrics`: the same for programs;
- `app`: the routes; `server`: what `courtkeeper serve` starts.

Every page is HTML that needs no script; htmx, vendored in `static/vendor/`, renews parts of it.
"""
