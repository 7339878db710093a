"""One file a page: a plain function from the site to the view that its template shows."""
