-- What there is now.
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'table.display.max-column-width' = '50';

SELECT id, info.width, info.height, info.media_type, problem
FROM (SELECT id, IMAGE_INFO(image) AS info, problem FROM pictures);

SELECT window_start, pictures, psnr FROM quality;
