-- How near six steps come to twenty, minute by minute: the same prompt and seed are drawn again with more steps.
SET 'table.dml-sync' = 'true';

CREATE TEMPORARY VIEW compared AS
SELECT sent, PSNR(image, careful) AS psnr
FROM (
  SELECT sent, image, TEXT_TO_IMAGE(prompt, MAP['seed', CAST(seed AS STRING), 'steps', '20']) AS careful
  FROM pictures
  WHERE image IS NOT NULL
);

INSERT INTO quality
SELECT window_start, window_end, COUNT(*), AVG(psnr)
FROM TABLE(TUMBLE(TABLE compared, DESCRIPTOR(sent), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
