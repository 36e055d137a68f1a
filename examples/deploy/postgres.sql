-- region roles
-- By a superuser, once. The owner migrates, the shop reads and writes, bindery follows the log.
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop LOGIN;
CREATE ROLE bindery LOGIN REPLICATION;
GRANT CONNECT ON DATABASE shop TO shop, bindery;

-- By the owner of the tables, with each migration that adds some.
GRANT USAGE ON SCHEMA public TO shop, bindery;
GRANT SELECT, INSERT, UPDATE, DELETE ON products, orders TO shop;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO shop;
CREATE PUBLICATION bindery FOR TABLE products, orders;
-- endregion

-- region settings
-- For pgsource.New: the first needs a restart of the server.
ALTER SYSTEM SET wal_level = logical;
ALTER SYSTEM SET max_replication_slots = 20; -- one for each process that follows, and those there are
ALTER SYSTEM SET max_wal_senders = 20;
-- For everybody: a transaction that somebody forgot holds up vacuum, new slots, and polls by xmin.
ALTER ROLE shop SET idle_in_transaction_session_timeout = '60s';
-- Longer than core.Config.ReadTimeout, which is one minute: Bindery ends its reads by itself.
ALTER ROLE shop SET statement_timeout = '90s';
-- endregion
