-- Some prompts, a minute apart in three windows; one cannot be done. `examples/run --list-words` prints what the model knows.
SET 'table.dml-sync' = 'true';

INSERT INTO prompts VALUES
  ('p1', 'a large red apple on a blue background', 1, TIMESTAMP '2026-01-01 12:00:10'),
  ('p2', 'a small sun on a green background', 2, TIMESTAMP '2026-01-01 12:00:40'),
  ('p3', 'a large tree on a white background', 3, TIMESTAMP '2026-01-01 12:01:05'),
  ('p4', CAST(NULL AS STRING), 4, TIMESTAMP '2026-01-01 12:01:20'),
  ('p5', 'a large heart on a gray background', 5, TIMESTAMP '2026-01-01 12:02:30');
