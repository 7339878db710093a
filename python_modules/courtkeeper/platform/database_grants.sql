-- Rights on the database itself; a copy made with TEMPLATE does not inherit them.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO courtkeeper;
GRANT CONNECT ON DATABASE {database} TO platform_api;
