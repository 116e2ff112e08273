-- Prompts to pictures. What cannot be done has no image and says why.
SET 'table.dml-sync' = 'true';

INSERT INTO pictures
SELECT id, prompt, seed, sent, image, model_digest, `error-string`
FROM ML_PREDICT(TABLE prompts, MODEL painter, DESCRIPTOR(id, prompt, seed), MAP['max-concurrent-operations', '32']);
