-- +goose Up

-- Accounts are tenants now: they have names, can be turned off, and may have a policy
-- that bounds what anybody in them may do, their root included.
ALTER TABLE account ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN boundary TEXT NOT NULL DEFAULT ''; -- text of a policy, '' = none

-- Whose key it is: the unique id of a user, '' = the account's own.
ALTER TABLE access_key ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE INDEX access_key_owner ON access_key (account, owner, id);
DROP INDEX access_key_account;

-- Users, groups, roles and managed policies. An id is never used again.
CREATE TABLE entity (
  id          TEXT   NOT NULL PRIMARY KEY, -- AIDA, AGPA, AROA or ANPA and 16 characters
  account     TEXT   NOT NULL REFERENCES account (id),
  kind        TEXT   NOT NULL,             -- user, group, role, policy
  name        TEXT   NOT NULL,
  folded      TEXT   NOT NULL,             -- the name in lower case
  path        TEXT   NOT NULL,
  description TEXT   NOT NULL,             -- of a role or policy
  created     BIGINT NOT NULL,
  updated     BIGINT NOT NULL,             -- of a policy: when a version was made or chosen
  boundary    TEXT   NOT NULL,             -- of a user or role: id of a policy, '' = none
  not_before  BIGINT NOT NULL,             -- of a user or role: temporary credentials issued before are refused
  trust       TEXT   NOT NULL,             -- of a role: its trust policy, with unique ids for the ARNs of principals
  max_session BIGINT NOT NULL,             -- of a role: seconds
  version     BIGINT NOT NULL,             -- of a policy: the default version
  versions    BIGINT NOT NULL              -- of a policy: the last version that was made
);
CREATE UNIQUE INDEX entity_name ON entity (account, kind, folded);
CREATE INDEX entity_path ON entity (account, kind, path, folded);
CREATE INDEX entity_boundary ON entity (boundary, account, id);

-- Who is in which group.
CREATE TABLE membership (
  member TEXT NOT NULL REFERENCES entity (id), -- a user
  grp    TEXT NOT NULL REFERENCES entity (id),
  PRIMARY KEY (member, grp)
);
CREATE INDEX membership_group ON membership (grp, member);

-- The versions of managed policies. They never change.
CREATE TABLE policy_version (
  policy  TEXT   NOT NULL REFERENCES entity (id),
  version BIGINT NOT NULL,
  created BIGINT NOT NULL,
  text    TEXT   NOT NULL,
  PRIMARY KEY (policy, version)
);

-- Managed policies of users, groups and roles. Built-in policies have ids, but no rows.
CREATE TABLE attachment (
  owner   TEXT NOT NULL REFERENCES entity (id),
  policy  TEXT NOT NULL,
  account TEXT NOT NULL, -- of the owner
  PRIMARY KEY (owner, policy)
);
CREATE INDEX attachment_policy ON attachment (account, policy, owner);

-- How often an account uses a policy, so that nobody has to count.
CREATE TABLE policy_use (
  account    TEXT   NOT NULL,
  policy     TEXT   NOT NULL,
  attached   BIGINT NOT NULL,
  boundaries BIGINT NOT NULL,
  PRIMARY KEY (account, policy)
);

-- Policies that belong to one user, group or role.
CREATE TABLE inline_policy (
  owner TEXT   NOT NULL REFERENCES entity (id),
  name  TEXT   NOT NULL,
  text  TEXT   NOT NULL,
  size  BIGINT NOT NULL, -- characters without white space
  PRIMARY KEY (owner, name)
);

-- Tags of users, roles and policies. Keys differ without case.
CREATE TABLE tag (
  owner  TEXT NOT NULL REFERENCES entity (id),
  folded TEXT NOT NULL, -- the key in lower case
  key    TEXT NOT NULL,
  value  TEXT NOT NULL,
  PRIMARY KEY (owner, folded)
);

-- Texts of session policies. Tokens carry their hashes.
CREATE TABLE session_policy (
  hash  TEXT   NOT NULL PRIMARY KEY, -- of SHA-256
  text  TEXT   NOT NULL,
  until BIGINT NOT NULL              -- no token needs it afterwards
);
CREATE INDEX session_policy_until ON session_policy (until);

-- Temporary credentials that were ended before their time.
CREATE TABLE ended_session (
  id    TEXT   NOT NULL PRIMARY KEY, -- access key id
  until BIGINT NOT NULL              -- they would have expired by then
);
CREATE INDEX ended_session_until ON ended_session (until);
