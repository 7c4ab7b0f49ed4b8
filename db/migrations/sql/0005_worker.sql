-- Background work claims that it is that. Its login reaches no table: it calls the owner's functions, one for each duty.
CREATE FUNCTION grounds.working() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('duty') IS NOT NULL;
