"""The tables of the journal."""

FORMAT = 2
APPLICATION_ID = 0x41505052  # "APPR"
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE events (
  id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL,
  data TEXT NOT NULL, sha256 TEXT NOT NULL
);
CREATE TRIGGER events_keep BEFORE UPDATE ON events
  BEGIN SELECT RAISE (ABORT, 'events are never changed'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
  BEGIN SELECT RAISE (ABORT, 'events are never deleted'); END;
CREATE TABLE checkpoints (
  event INTEGER PRIMARY KEY REFERENCES events, digest TEXT NOT NULL,
  manifest TEXT NOT NULL, time TEXT NOT NULL
);
CREATE VIRTUAL TABLE talk USING fts5 (say, answer, event UNINDEXED);
"""
