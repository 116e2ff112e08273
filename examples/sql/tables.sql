-- What the other scripts work on: prompts become pictures, pictures have a quality. One Kafka topic each, Avro.
-- `examples/sql/run` writes the address of its own broker in the place of localhost:9092.
SET 'execution.checkpointing.interval' = '1s';
SET 'parallelism.default' = '1';
SET 'pipeline.name' = 'diffusion-sql';

-- Bounded: a job ends when it has read what is there now. Leave 'scan.bounded.mode' out, and it goes on for ever.
CREATE TABLE prompts (
  id STRING,
  prompt STRING,
  seed BIGINT,
  sent TIMESTAMP(3),
  WATERMARK FOR sent AS sent - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'sql-prompts',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-prompts',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'format' = 'avro'
);

-- Exactly once: pictures become visible with the checkpoint that knows of them, so readers read what is committed.
CREATE TABLE pictures (
  id STRING,
  prompt STRING,
  seed BIGINT,
  sent TIMESTAMP(3),
  image BYTES,
  model_digest STRING,
  problem STRING,
  WATERMARK FOR sent AS sent - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'sql-pictures',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-pictures',
  'properties.isolation.level' = 'read_committed',
  'properties.transaction.timeout.ms' = '600000',
  'properties.max.request.size' = '16777216',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-pictures',
  'format' = 'avro'
);

CREATE TABLE quality (
  window_start TIMESTAMP(3),
  window_end TIMESTAMP(3),
  pictures BIGINT,
  psnr DOUBLE
) WITH (
  'connector' = 'kafka',
  'topic' = 'sql-quality',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-quality',
  'properties.isolation.level' = 'read_committed',
  'properties.transaction.timeout.ms' = '600000',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-quality',
  'format' = 'avro'
);

-- Rows become image files in out/sql, each exactly once, with a contact sheet; one without an image becomes a text
-- file that says why.
CREATE TABLE image_files (
  id STRING,
  prompt STRING,
  image BYTES,
  problem STRING
) WITH (
  'connector' = 'diffusion-images',
  'path' = 'out/sql'
);

CREATE MODEL painter
  INPUT (id STRING, prompt STRING, seed BIGINT)
  OUTPUT (image BYTES, model_digest STRING, `error-string` STRING)
  WITH (
    'provider' = 'diffusion',
    'model.folder' = 'examples/models/mini-emoji',
    'device' = 'cpu',
    'steps' = '6',
    'guidance-scale' = '2'
  );

LOAD MODULE diffusion WITH (
  'text-to-image.model.folder' = 'examples/models/mini-emoji',
  'text-to-image.device' = 'cpu',
  'text-to-image.guidance-scale' = '2'
);
