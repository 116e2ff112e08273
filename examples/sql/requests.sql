-- Prompts for a DataStream job on its own topic, in its own format; events.sql has this table with all columns, and the others.
SET 'table.dml-sync' = 'true';
SET 'sql-client.execution.result-mode' = 'tableau';

CREATE TABLE prompt_events (
  id STRING NOT NULL,
  prompt STRING NOT NULL,
  steps INT,
  attributes MAP<STRING, STRING>
) WITH (
  'connector' = 'kafka',
  'topic' = 'prompts',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'properties.transaction.timeout.ms' = '600000',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-requests/',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'prompt'
);

INSERT INTO prompt_events VALUES ('poster-1', 'a large yellow sun on blue', 25, MAP['customer', '17']);

SELECT id, prompt, steps, attributes['customer'] AS customer FROM prompt_events;
