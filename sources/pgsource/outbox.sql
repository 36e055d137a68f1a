-- What pgsource.NewTriggers needs in a database. Running it again changes
-- nothing that is as it should be. {{schema}} is the quoted name of the schema,
-- {{name}} the same as the text of a literal.

DO $do$
BEGIN
	-- Programs that install at the same time take turns.
	PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('bindery outbox {{name}}'));
	IF pg_catalog.to_regnamespace('{{schema}}') IS NULL THEN
		CREATE SCHEMA {{schema}};
	END IF;
END $do$;

-- settings has one row.
CREATE TABLE IF NOT EXISTS {{schema}}.settings (
	one        boolean PRIMARY KEY DEFAULT true CHECK (one),
	version    integer NOT NULL,
	max_keys   integer NOT NULL,             -- of one statement; beyond it the whole table is recorded
	retention  interval NOT NULL,            -- how long a record is kept after its transaction has ended
	silent     boolean NOT NULL,             -- writers do not notify
	generation bigint NOT NULL DEFAULT 0,    -- moves when other tables are captured
	floor      xid8 NOT NULL DEFAULT '0'     -- records of transactions below it may have been deleted
);

DO $do$
DECLARE
	found integer := (SELECT version FROM {{schema}}.settings);
BEGIN
	IF found > {{version}} THEN
		RAISE EXCEPTION 'the outbox is of version %, this program knows versions up to {{version}}', found;
	END IF;
END $do$;

INSERT INTO {{schema}}.settings (version, max_keys, retention, silent)
VALUES ({{version}}, {{max_keys}}, '{{retention}}', {{silent}})
ON CONFLICT (one) DO UPDATE SET version = excluded.version, max_keys = excluded.max_keys,
	retention = excluded.retention, silent = excluded.silent
WHERE (settings.version, settings.max_keys, settings.retention, settings.silent)
	IS DISTINCT FROM (excluded.version, excluded.max_keys, excluded.retention, excluded.silent);

-- A capture is a table whose changes are recorded.
CREATE TABLE IF NOT EXISTS {{schema}}.captures (
	n        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation regclass NOT NULL UNIQUE,
	keys     text[] NOT NULL,    -- the columns that are recorded
	by_row   boolean NOT NULL    -- by triggers for each row, else for each statement
);

-- A record is what one statement has changed. It becomes visible with its
-- transaction. Who reads must look for transactions, not for the order in which
-- records were made: that is not the order of the commits. A crash takes the
-- records away; it also ends all who were reading, and they begin anew.
DO $do$
BEGIN
	IF pg_catalog.to_regclass('{{schema}}.outbox') IS NULL THEN
		CREATE UNLOGGED TABLE {{schema}}.outbox (
			xid     xid8 NOT NULL,
			capture integer NOT NULL,
			keys    text[]    -- an array of keys, each of which is an array; NULL is the whole table
		);
		CREATE INDEX outbox_xid ON {{schema}}.outbox (xid);
	END IF;
END $do$;

-- An epoch says which transactions had ended at a time: those below ended.
CREATE TABLE IF NOT EXISTS {{schema}}.epochs (
	at    timestamptz NOT NULL,
	ended xid8 NOT NULL
);

-- Each record takes a number from credit; without credit nothing is recorded.
-- Whoever reads gives new credit, time and again. So the outbox stays small
-- when nobody does, and that costs writers next to nothing. lapses counts how
-- often credit may have run out. Sequences are as they are for everybody at
-- once, whatever a transaction's snapshot.
DO $do$
BEGIN
	IF pg_catalog.to_regclass('{{schema}}.credit') IS NULL THEN
		CREATE SEQUENCE {{schema}}.credit;
		PERFORM pg_catalog.setval('{{schema}}.credit', {{credit}} + 1);
		CREATE SEQUENCE {{schema}}.lapses;
		PERFORM pg_catalog.nextval('{{schema}}.lapses');
	END IF;
END $do$;

-- gauge returns how much credit is used, and how often it ran out. Their order
-- matters: attend counts before it gives.
CREATE OR REPLACE FUNCTION {{schema}}.gauge() RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $gauge$
DECLARE
	used bigint;
	lapsed bigint;
BEGIN
	SELECT last_value INTO used FROM {{schema}}.credit;
	SELECT last_value INTO lapsed FROM {{schema}}.lapses;
	RETURN ARRAY[used, lapsed];
END $gauge$;

-- attend gives new credit. It returns how often that had run out, and an id of
-- which all transactions that went without are below. (Half the credit is the
-- margin for what is used between looking at it and giving more.)
CREATE OR REPLACE FUNCTION {{schema}}.attend(OUT lapsed bigint, OUT below xid8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $attend$
BEGIN
	IF (SELECT last_value FROM {{schema}}.credit) > {{credit}} / 2 THEN
		PERFORM nextval('{{schema}}.lapses');
	END IF;
	PERFORM setval('{{schema}}.credit', 1);
	SELECT last_value INTO lapsed FROM {{schema}}.lapses;
	below := pg_current_xact_id();
END $attend$;

-- tidy deletes old records, a bounded number of them, and returns whether more
-- are left. It first says so in floor: who has not read them finds that out.
CREATE OR REPLACE FUNCTION {{schema}}.tidy() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tidy$
DECLARE
	keep interval;
	cut record;
	deleted bigint;
	foreigners bigint;
BEGIN
	SELECT retention INTO keep FROM {{schema}}.settings FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN false; -- somebody else is at it
	END IF;
	-- What another server's log or clock has left here, after a restore.
	DELETE FROM {{schema}}.epochs WHERE at > clock_timestamp() OR ended > pg_snapshot_xmin(pg_current_snapshot());
	DELETE FROM {{schema}}.outbox WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM {{schema}}.outbox WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT {{tidy}}));
	GET DIAGNOSTICS foreigners = ROW_COUNT;
	UPDATE {{schema}}.settings SET floor = '0' WHERE floor > pg_snapshot_xmin(pg_current_snapshot());

	INSERT INTO {{schema}}.epochs VALUES (clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot()));
	IF (SELECT count(*) FROM (SELECT FROM {{schema}}.outbox LIMIT {{credit}} + 1) AS o) > {{credit}} THEN
		keep := least(keep, '10 seconds');
	END IF;
	SELECT * INTO cut FROM {{schema}}.epochs WHERE at < clock_timestamp() - keep ORDER BY at DESC LIMIT 1;
	IF NOT FOUND THEN
		RETURN foreigners = {{tidy}};
	END IF;
	DELETE FROM {{schema}}.epochs WHERE at < cut.at;
	DELETE FROM {{schema}}.outbox WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM {{schema}}.outbox WHERE xid < cut.ended LIMIT {{tidy}}));
	GET DIAGNOSTICS deleted = ROW_COUNT;
	IF deleted > 0 THEN
		UPDATE {{schema}}.settings SET floor = cut.ended WHERE floor < cut.ended;
	END IF;
	RETURN deleted = {{tidy}} OR foreigners = {{tidy}};
END $tidy$;

-- faults returns what a capture lacks, NULL if it is complete.
CREATE OR REPLACE FUNCTION {{schema}}.faults(capture integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $faults$
	WITH RECURSIVE below(oid, cloned) AS (
		SELECT c.relation::oid, false FROM {{schema}}.captures c WHERE c.n = capture
		UNION SELECT i.inhrelid, c.relispartition
		FROM pg_inherits i JOIN below ON i.inhparent = below.oid JOIN pg_class c ON c.oid = i.inhrelid)
	SELECT string_agg(b.oid::regclass::text, ', ') FROM {{schema}}.captures c, below b
	WHERE c.n = capture AND (
		SELECT count(*) FILTER (WHERE t.tgtype & 1 = 1) < c.by_row::integer             -- for each row
			OR count(*) FILTER (WHERE t.tgtype & 29 = 4) < 1 - c.by_row::integer        -- INSERT
			OR count(*) FILTER (WHERE t.tgtype & 29 = 16) < 1 - c.by_row::integer       -- UPDATE
			OR count(*) FILTER (WHERE t.tgtype & 29 = 8) < 1 - c.by_row::integer        -- DELETE
			OR count(*) FILTER (WHERE t.tgtype & 32 = 32) < 1 - b.cloned::integer       -- TRUNCATE
		FROM pg_trigger t
		WHERE t.tgrelid = b.oid AND t.tgenabled = 'A' AND t.tgfoid = to_regproc('{{schema}}.capture_' || capture))
$faults$;

-- unwatch ends the recording of a table's changes.
CREATE OR REPLACE FUNCTION {{schema}}.unwatch(target regclass) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $unwatch$
DECLARE
	capture integer;
BEGIN
	DELETE FROM {{schema}}.captures WHERE relation = target RETURNING n INTO capture;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	-- Only triggers can depend on it: those of the table, and of what is below it.
	EXECUTE format('DROP FUNCTION IF EXISTS {{schema}}.capture_%s CASCADE', capture);
	UPDATE {{schema}}.settings SET generation = generation + 1;
	PERFORM pg_notify('{{name}}', '');
	RETURN true;
END $unwatch$;

-- watch has a table's changes recorded, and returns the number of the capture.
-- The keys are those of the primary key unless other columns are named, or none.
-- Triggers for each row see what logical replication writes, too; those for each
-- statement are far cheaper where a statement changes many rows.
CREATE OR REPLACE FUNCTION {{schema}}.watch(target regclass, key_columns text[] DEFAULT NULL, for_each_row boolean DEFAULT false)
RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $watch$
DECLARE
	s record;
	kind "char";
	persistence "char";
	each_row boolean;
	gone record;
	capture integer;
	old_key text;
	new_key text;
	row_key text;
	options text[];
	body text;
	part record;
	event text;
BEGIN
	SELECT * INTO STRICT s FROM {{schema}}.settings;
	SELECT relkind, relpersistence INTO kind, persistence FROM pg_class WHERE oid = target;
	IF kind NOT IN ('r', 'p') OR persistence = 't' THEN
		RAISE EXCEPTION '% is no table that can be watched', target;
	END IF;
	IF key_columns IS NULL THEN
		SELECT array_agg(a.attname::text ORDER BY array_position(x.indkey::smallint[], a.attnum)) INTO key_columns
		FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
		WHERE x.indrelid = target AND x.indisprimary;
	END IF;
	IF key_columns IS NULL THEN
		RAISE EXCEPTION '% has no primary key', target
			USING HINT = 'name the key columns, or none to record just that something has changed: watch(…, ''{}'')';
	END IF;

	-- What is left of tables that were dropped.
	FOR gone IN DELETE FROM {{schema}}.captures c
		WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = c.relation) RETURNING n
	LOOP
		EXECUTE format('DROP FUNCTION IF EXISTS {{schema}}.capture_%s CASCADE', gone.n);
	END LOOP;

	-- A statement that names a table fires the statement triggers of that one
	-- alone, not those of its partitions and children. And triggers for each row
	-- are given to every new partition, by the server.
	each_row := for_each_row OR kind = 'p' OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = target);

	-- concat gives a value's text as the server sends it; a cast would strip the
	-- blanks of a char(n). Texts are compared as bytes.
	SELECT string_agg(format('CASE WHEN r.%1$I IS NOT NULL THEN concat(r.%1$I) COLLATE "C" END', c.name), ', ' ORDER BY c.nr),
		string_agg(format('CASE WHEN OLD.%1$I IS NOT NULL THEN concat(OLD.%1$I) COLLATE "C" END', c.name), ', ' ORDER BY c.nr),
		string_agg(format('CASE WHEN NEW.%1$I IS NOT NULL THEN concat(NEW.%1$I) COLLATE "C" END', c.name), ', ' ORDER BY c.nr)
	INTO row_key, old_key, new_key
	FROM unnest(key_columns) WITH ORDINALITY AS c(name, nr);
	IF key_columns = '{}' THEN
		row_key := 'NULL::text';
		old_key := row_key;
		new_key := row_key;
	END IF;
	-- The search_path keeps whoever writes from putting his own functions in the
	-- way. The other settings make texts look the same whatever the writer's are.
	options := ARRAY['search_path=pg_catalog, pg_temp'];
	IF EXISTS (SELECT FROM unnest(key_columns) AS k(name) LEFT JOIN pg_attribute a
		ON a.attrelid = target AND a.attname = k.name AND NOT a.attisdropped AND a.attnum > 0
		WHERE a.attname IS NULL)
	THEN
		RAISE EXCEPTION '% does not have all of the columns %', target, key_columns;
	END IF;
	IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = target AND attname = ANY (key_columns) AND atttypid <> ALL (ARRAY[
		'int2', 'int4', 'int8', 'text', 'varchar', 'bpchar', 'uuid', 'numeric', 'bool']::regtype[]))
	THEN
		options := options || ARRAY['datestyle=ISO', 'timezone=UTC', 'intervalstyle=postgres', 'bytea_output=hex'];
	END IF;

	SELECT n INTO capture FROM {{schema}}.captures WHERE relation = target;
	FOR attempt IN 1..2 LOOP
		IF each_row THEN
			body := format($body$
	IF TG_OP = 'INSERT' THEN
		keys := ARRAY[ARRAY[%2$s]];
	ELSIF TG_OP = 'DELETE' THEN
		keys := ARRAY[ARRAY[%1$s]];
	ELSIF TG_OP = 'UPDATE' THEN
		keys := ARRAY[ARRAY[%1$s], ARRAY[%2$s]];
		IF keys[1:1] = keys[2:2] THEN
			keys := keys[1:1];
		END IF;
	END IF;$body$, old_key, new_key);
		ELSE
			-- An update has its rows in the same order before and after it.
			body := format($body$
	IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' THEN
		keys := (SELECT array_agg(u.k) FROM (SELECT ARRAY[%1$s] AS k FROM new_rows AS r LIMIT %2$s) AS u);
	END IF;
	IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' THEN
		old_keys := (SELECT array_agg(u.k) FROM (SELECT ARRAY[%1$s] AS k FROM old_rows AS r LIMIT %2$s) AS u);
		IF old_keys IS DISTINCT FROM keys THEN
			keys := old_keys || keys;
		END IF;
	END IF;
	IF keys IS NULL AND TG_OP <> 'TRUNCATE' THEN
		RETURN NULL; -- no row was changed
	END IF;
	IF array_length(keys, 1) >= %2$s THEN
		keys := NULL;
	END IF;$body$, row_key, s.max_keys + 1);
		END IF;
		body := format($body$
DECLARE
	keys text[];
	old_keys text[];
BEGIN
	IF nextval('{{schema}}.credit') > {{credit}} THEN
		RETURN NULL; -- nobody reads
	END IF;$body$) || body || format($body$
	INSERT INTO {{schema}}.outbox (xid, capture, keys) VALUES (pg_current_xact_id(), %s, keys);
	%s
	RETURN NULL;
END $body$, capture, CASE WHEN NOT s.silent THEN $body$PERFORM pg_notify('{{name}}', '');$body$ END);

		EXIT WHEN attempt = 2;
		IF capture IS NOT NULL AND EXISTS (
			SELECT FROM {{schema}}.captures c JOIN pg_proc p ON p.oid = to_regproc('{{schema}}.capture_' || c.n)
			WHERE c.n = capture AND c.keys = key_columns AND c.by_row = each_row
				AND p.prosrc = body AND p.proconfig = options)
			AND {{schema}}.faults(capture) IS NULL
		THEN
			RETURN capture; -- and nothing was locked
		END IF;
		PERFORM {{schema}}.unwatch(target);
		INSERT INTO {{schema}}.captures (relation, keys, by_row) VALUES (target, key_columns, each_row) RETURNING n INTO capture;
	END LOOP;

	EXECUTE format('CREATE FUNCTION {{schema}}.capture_%s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER %s AS %L', capture,
		(SELECT string_agg('SET ' || replace(o, '=', ' TO '), ' ') FROM unnest(options) AS o), body);
	EXECUTE format('REVOKE ALL ON FUNCTION {{schema}}.capture_%s() FROM PUBLIC', capture);

	FOR part IN WITH RECURSIVE below(oid) AS (
			SELECT target::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = below.oid)
		SELECT b.oid::regclass AS relation, c.relispartition AND c.oid <> target AS cloned
		FROM below b JOIN pg_class c ON c.oid = b.oid
	LOOP
		FOREACH event IN ARRAY CASE
			WHEN part.cloned THEN ARRAY['truncate']
			WHEN each_row THEN ARRAY['truncate', 'row']
			ELSE ARRAY['truncate', 'insert', 'update', 'delete'] END
		LOOP
			EXECUTE format('CREATE TRIGGER {{name}}_%s_%s AFTER %s ON %s %s EXECUTE FUNCTION {{schema}}.capture_%s()', capture, event,
				CASE event WHEN 'row' THEN 'INSERT OR UPDATE OR DELETE' ELSE upper(event) END,
				part.relation,
				CASE event
					WHEN 'insert' THEN 'REFERENCING NEW TABLE AS new_rows'
					WHEN 'update' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
					WHEN 'delete' THEN 'REFERENCING OLD TABLE AS old_rows'
					WHEN 'row' THEN 'FOR EACH ROW'
				END,
				capture);
			-- Also for those who write as a replica.
			EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER {{name}}_%s_%s', part.relation, capture, event);
		END LOOP;
	END LOOP;
	UPDATE {{schema}}.settings SET generation = generation + 1;
	PERFORM pg_notify('{{name}}', '');
	RETURN capture;
END $watch$;

REVOKE ALL ON FUNCTION {{schema}}.gauge(), {{schema}}.attend(), {{schema}}.tidy(), {{schema}}.faults(integer),
	{{schema}}.watch(regclass, text[], boolean), {{schema}}.unwatch(regclass) FROM PUBLIC;
