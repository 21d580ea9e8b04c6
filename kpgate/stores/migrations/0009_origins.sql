-- Where a log begins: it has the charges from this LSN on, up to the next log's. A restored directory opens a new one.

ALTER TABLE logs ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
