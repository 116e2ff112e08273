-- Images to files: look at out/sql/contact-sheet.png.
SET 'table.dml-sync' = 'true';

INSERT INTO image_files
SELECT id, prompt, image, problem FROM pictures;
