-- The topics of the DataStream jobs as tables: leave out the columns and tables that you do not need.
-- Written by EventTablesTest from the events' schemas; do not edit.
--
-- Exactly once needs checkpoints, and a transactional id prefix that no other running job has: a second job that
-- writes the same table says INSERT INTO t /*+ OPTIONS('sink.transactional-id-prefix' = '...') */.
-- The transaction timeout is the most that brokers allow unless they are told otherwise (transaction.max.timeout.ms).
-- Topics must exist, and take records of 16 MB (max.message.bytes). The time of an event is that of its record.

CREATE TABLE prompt_events (
  `id` STRING NOT NULL COMMENT 'Unique name of the request, chosen by the sender; the result and any failure carry it',
  `prompt` STRING NOT NULL COMMENT 'Text that describes the image',
  `negative_prompt` STRING COMMENT 'Text that describes what the image should not show',
  `seed` BIGINT COMMENT 'Seed of the noise; null derives one from id, so a replayed request gives the same image',
  `steps` INT COMMENT 'num_inference_steps, 1 .. the model''s num_train_timesteps; null takes the job''s setting',
  `guidance_scale` DOUBLE COMMENT 'Classifier-free guidance weight w of Ho and Salimans 2022 (diffusers'' guidance_scale); finite; <= 1 turns guidance off; null takes the job''s setting',
  `scheduler` STRING COMMENT 'diffusers class name of the scheduler, e.g. EulerDiscreteScheduler; null takes the job''s setting, else the model''s own',
  `width` INT COMMENT 'Width of the image in pixels, a multiple of the model''s scale factor (8 for Stable Diffusion); null takes the job''s setting, else the model''s own size',
  `height` INT COMMENT 'Height of the image in pixels; as width',
  `priority` INT COMMENT 'Requests with larger values run first among those that wait for a device',
  `deadline` BIGINT COMMENT 'Time by which the image is needed, in milliseconds since 1970-01-01 UTC; null for none',
  `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT> COMMENT 'Where the record was read from',
  `attributes` MAP<STRING, STRING> COMMENT 'Carried unchanged to the result or the failure',
  `parameters` MAP<STRING, STRING> COMMENT 'Further parameters by name, such as clipSkip, timesteps or eta; docs/SUPPORTED.md lists them and which model takes which',
  `images` MAP<STRING, ROW<`content` BYTES, `reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT>, `media_type` STRING>> COMMENT 'Images that the request brings, by the name of the parameter that each is, such as controlImage, adapterImage or ipAdapterImage; docs/SUPPORTED.md lists them and which model takes which',
  `context` ROW<`key` BYTES, `headers` MAP<STRING, BYTES>> COMMENT 'Key and headers of the record that the event was read from',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'A request to generate one image from text' WITH (
  'connector' = 'kafka',
  'topic' = 'prompts',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-prompts',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'prompt',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-prompts/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE image_task_events (
  `id` STRING NOT NULL COMMENT 'Unique name of the request, chosen by the sender; the result and any failure carry it',
  `image` ROW<`content` BYTES, `reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT>, `media_type` STRING> NOT NULL COMMENT 'The input image: PNG, JPEG, WebP, GIF, BMP, TIFF, GeoTIFF, DICOM or NIfTI',
  `mask` ROW<`content` BYTES, `reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT>, `media_type` STRING> COMMENT 'Mask for inpainting: one band, as large as the image; white is generated again (diffusers'' mask_image)',
  `prompt` STRING COMMENT 'Text that describes the result, or the instruction for models that take one',
  `negative_prompt` STRING COMMENT 'Text that describes what the result should not show',
  `seed` BIGINT COMMENT 'Seed of the noise; null derives one from id, so a replayed request gives the same result',
  `steps` INT COMMENT 'num_inference_steps, 1 .. the model''s num_train_timesteps',
  `scheduler` STRING COMMENT 'diffusers class name of the scheduler, e.g. DDIMScheduler',
  `guidance_scale` DOUBLE COMMENT 'Classifier-free guidance weight (diffusers'' guidance_scale); finite; <= 1 turns guidance off',
  `image_guidance_scale` DOUBLE COMMENT 'Weight of the given image for InstructPix2Pix and similar models: higher values keep the result closer to it (diffusers'' image_guidance_scale); finite, >= 1',
  `strength` DOUBLE COMMENT 'Share of the image that is generated again, above 0 and up to 1, which is all of it (diffusers'' strength)',
  `noise_level` INT COMMENT 'Timestep up to which noise is added to the small image before an upscaler enlarges it (diffusers'' noise_level); from 0',
  `ensemble_size` INT COMMENT 'Number of independent samples, from 1',
  `width` INT COMMENT 'Width in pixels to which the image is resized first, a multiple of the model''s scale factor; null leaves it as it is',
  `height` INT COMMENT 'Height in pixels; as width',
  `priority` INT COMMENT 'Requests with larger values run first among those that wait for a device',
  `deadline` BIGINT COMMENT 'Time by which the result is needed, in milliseconds since 1970-01-01 UTC; null for none',
  `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT> COMMENT 'Where the record was read from',
  `attributes` MAP<STRING, STRING> COMMENT 'Carried unchanged to the result or the failure',
  `parameters` MAP<STRING, STRING> COMMENT 'Further parameters by name, such as clipSkip, timesteps or eta; docs/SUPPORTED.md lists them and which model takes which',
  `images` MAP<STRING, ROW<`content` BYTES, `reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT>, `media_type` STRING>> COMMENT 'Further images by the name of the parameter that each is, such as controlImage, adapterImage, ipAdapterImage or image2; docs/SUPPORTED.md lists them and which model takes which',
  `context` ROW<`key` BYTES, `headers` MAP<STRING, BYTES>> COMMENT 'Key and headers of the record that the event was read from',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'A request to generate one image from another: to enlarge, segment, change or inpaint it' WITH (
  'connector' = 'kafka',
  'topic' = 'image-tasks',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-image-tasks',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'image-task',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-image-tasks/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE image_events (
  `id` STRING NOT NULL COMMENT 'The request''s id',
  `image` BYTES NOT NULL COMMENT 'The encoded image; empty when imageReference says where it is',
  `media_type` STRING COMMENT 'IANA media type of the image',
  `digest` STRING COMMENT 'SHA-256 of the image''s bytes, lower-case hex',
  `width` INT NOT NULL COMMENT 'Width in pixels',
  `height` INT NOT NULL COMMENT 'Height in pixels',
  `prompt` STRING COMMENT 'The prompt as it was received',
  `negative_prompt` STRING COMMENT 'The negative prompt as it was received',
  `prompt_truncated` BOOLEAN COMMENT 'True when the prompt or the negative prompt was longer than the tokenizer''s limit and its end was not used',
  `seed` BIGINT COMMENT 'The seed that was used, given or derived',
  `steps` INT COMMENT 'num_inference_steps that was used',
  `guidance_scale` DOUBLE COMMENT 'The guidance scale that was used',
  `scheduler` STRING COMMENT 'diffusers class name of the scheduler that was used',
  `model` STRING COMMENT 'Name of the model folder',
  `model_digest` STRING COMMENT 'SHA-256 over the model''s weights and configs, lower-case hex',
  `attributes` MAP<STRING, STRING> COMMENT 'The request''s attributes, unchanged',
  `image_reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT> COMMENT 'Where the image is, when it is too large for the event; null when it is in the field image',
  `mask` ROW<`content` BYTES, `reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT>, `media_type` STRING> COMMENT 'For a segmentation: the class of every pixel, or a probability; null for other tasks',
  `uncertainty` ROW<`content` BYTES, `reference` ROW<`uri` STRING, `sha256` STRING, `length` BIGINT>, `media_type` STRING> COMMENT 'For an ensemble: how much its samples differ at every pixel, one band, 0 where they agree; null without an ensemble',
  `regions` ROW<`crs` STRING, `items` ARRAY<ROW<`label` STRING, `score` DOUBLE, `area_pixels` BIGINT, `area` DOUBLE, `area_unit` STRING, `box` ROW<`x` DOUBLE, `y` DOUBLE, `width` DOUBLE, `height` DOUBLE>, `geometry` STRING>>> COMMENT 'Regions that a segmentation or a detection found; null for other tasks, and for a segmentation of more than 67 million pixels, which has a mask only',
  `audit` ROW<`model` STRING, `model_digest` STRING, `task` STRING, `scheduler` STRING, `steps` INT, `seed` BIGINT, `parameters` MAP<STRING, STRING>, `input_digests` MAP<STRING, STRING>, `software_version` STRING> COMMENT 'How the result was generated; null from senders before version 2 of this event',
  `original` ROW<`bytes` BYTES, `size` BIGINT, `sha256` STRING, `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>> COMMENT 'The request, while the result is on its way to a sink; the sink of images leaves it out, and puts it into the failure of a result that is too large for Kafka',
  `context` ROW<`key` BYTES, `headers` MAP<STRING, BYTES>> COMMENT 'Key and headers of the request''s record, while the result is on its way to a sink; the sink gives them to the result''s record and leaves them out of the event',
  `device_seconds` DOUBLE COMMENT 'Device seconds that the request took: of each device call that it took part in, its share by rows, text encoder and decoder included',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'One finished image, in the event or in the payload store, with everything that is needed to generate it again' WITH (
  'connector' = 'kafka',
  'topic' = 'images',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-images',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'image',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-images/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE text_events (
  `id` STRING NOT NULL COMMENT 'The request''s id',
  `text` STRING NOT NULL COMMENT 'The text, without special tokens; a caption begins with the prompt',
  `tokens` INT COMMENT 'Tokens that were generated, without the one that ends the text; 0 for a label',
  `ended` BOOLEAN COMMENT 'True when the text ended by itself; false when it has as many tokens as were asked for at most',
  `scores` MAP<STRING, DOUBLE> COMMENT 'For a label: how sure the model is of each of the request''s labels, 1 together',
  `prompt` STRING COMMENT 'The prompt or question as it was received',
  `seed` BIGINT COMMENT 'The seed that was used, given or derived',
  `model` STRING COMMENT 'Name of the model folder',
  `model_digest` STRING COMMENT 'SHA-256 over the model''s weights and configs, lower-case hex',
  `attributes` MAP<STRING, STRING> COMMENT 'The request''s attributes, unchanged',
  `audit` ROW<`model` STRING, `model_digest` STRING, `task` STRING, `scheduler` STRING, `steps` INT, `seed` BIGINT, `parameters` MAP<STRING, STRING>, `input_digests` MAP<STRING, STRING>, `software_version` STRING> COMMENT 'How the text was generated',
  `original` ROW<`bytes` BYTES, `size` BIGINT, `sha256` STRING, `origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>> COMMENT 'The request, while the result is on its way to a sink; the sink of texts leaves it out, and puts it into the failure of a result that is too large for Kafka',
  `context` ROW<`key` BYTES, `headers` MAP<STRING, BYTES>> COMMENT 'Key and headers of the request''s record, while the result is on its way to a sink; the sink gives them to the result''s record and leaves them out of the event',
  `device_seconds` DOUBLE COMMENT 'Device seconds that the request took: of each device call that it took part in, its share by rows',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'One finished text about an image: a caption, an answer, or the label that fits best' WITH (
  'connector' = 'kafka',
  'topic' = 'captions',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-captions',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'text',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-captions/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE failure_events (
  `id` STRING COMMENT 'The request''s id; null when the bytes could not be decoded',
  `reason` STRING NOT NULL COMMENT 'What kind of failure',
  `message` STRING NOT NULL COMMENT 'One sentence: what failed, where, which value, and what is accepted',
  `original` BYTES COMMENT 'The record as it arrived: the Kafka value, or the request encoded again when it did not come from Kafka',
  `original_size` BIGINT COMMENT 'Bytes of the whole record, where original was truncated; else null',
  `original_sha256` STRING COMMENT 'SHA-256 of the whole record in lower-case hex, where original was truncated; else null',
  `topic` STRING COMMENT 'Kafka topic the record came from, if known',
  `partition` INT COMMENT 'Kafka partition the record came from, if known',
  `offset` BIGINT COMMENT 'Kafka offset of the record, if known',
  `attributes` MAP<STRING, STRING> COMMENT 'The request''s attributes, unchanged; empty when undecodable',
  `context` ROW<`key` BYTES, `headers` MAP<STRING, BYTES>> COMMENT 'Key and headers of the original record, so that it can be sent again as it arrived; null when it had neither',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'A request that could not be processed, with the reason and its original bytes, so that it can be sent again' WITH (
  'connector' = 'kafka',
  'topic' = 'failures',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-failures',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'failure',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-failures/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE progress_events (
  `id` STRING NOT NULL COMMENT 'The request''s id',
  `step` INT NOT NULL COMMENT 'Finished network steps, 0 .. totalSteps',
  `total_steps` INT NOT NULL COMMENT 'Network steps in all; above num_inference_steps for second-order schedulers',
  `preview` BYTES COMMENT 'A small PNG preview of the image, if previews are enabled',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'Progress of a request' WITH (
  'connector' = 'kafka',
  'topic' = 'progress',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-progress',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'progress'
);

CREATE TABLE cancel_events (
  `id` STRING NOT NULL COMMENT 'The id of the request',
  `reason` STRING COMMENT 'Reason, for the failure''s message; may be empty',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'Cancels a request' WITH (
  'connector' = 'kafka',
  'topic' = 'cancellations',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-cancellations',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'cancel',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-cancellations/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE model_events (
  `id` STRING NOT NULL COMMENT 'Names the event',
  `model` STRING COMMENT 'Name of the model, one of diffusion.models, or ''default'' for that of diffusion.model.folder',
  `version` STRING COMMENT 'What the version is called',
  `folder` STRING COMMENT 'Where the version is: a folder in diffusers'' layout, a single-file checkpoint, or hf://owner/name',
  `digest` STRING COMMENT 'SHA-256 over the version''s weights and configs, as results name it in modelDigest; a version with another one is refused',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'Makes another version of a model the one that requests begin on' WITH (
  'connector' = 'kafka',
  'topic' = 'models',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-models',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'model',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-models/',
  'sink.transaction-naming-strategy' = 'pooling'
);

CREATE TABLE vote_events (
  `id` STRING NOT NULL COMMENT 'Unique name of the vote',
  `criterion` STRING NOT NULL COMMENT 'What was asked',
  `choice` STRING NOT NULL COMMENT 'The answer',
  `first` ROW<`real` BOOLEAN, `id` STRING, `digest` STRING, `model` STRING, `model_digest` STRING, `partition` INT, `offset` BIGINT> NOT NULL COMMENT 'The image on the left, or above',
  `second` ROW<`real` BOOLEAN, `id` STRING, `digest` STRING, `model` STRING, `model_digest` STRING, `partition` INT, `offset` BIGINT> NOT NULL COMMENT 'The image on the right, or below',
  `prompt` STRING COMMENT 'The prompt that the voter was shown; empty when none was',
  `voter` STRING COMMENT 'A random name of the voter''s browser, the same for all of its votes; it says nothing of the person',
  `millis` BIGINT COMMENT 'Time between showing the images and the answer, in milliseconds',
  `attributes` MAP<STRING, STRING> COMMENT 'For those who hold the vote, such as the name of a study',
  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
) COMMENT 'Which of two images a person found better by one criterion, without knowing where they came from' WITH (
  'connector' = 'kafka',
  'topic' = 'votes',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'sql-votes',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'id',
  'format' = 'diffusion-avro',
  'diffusion-avro.event' = 'vote',
  'properties.max.request.size' = '16777216',
  'properties.transaction.timeout.ms' = '900000',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sql-votes/',
  'sink.transaction-naming-strategy' = 'pooling'
);
