/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The contact sheet of the newest images in a folder. The file itself says, in a text block, which
 * images it shows, so a job that starts again goes on with it. A sheet is for people to look at:
 * that it cannot be written is a line in the log, and fails no job.
 */
final class ContactSheetFile {
  private static final Logger LOG = LoggerFactory.getLogger(ContactSheetFile.class);

  static final String NAME = "contact-sheet.png";

  /** The text block: a line for each image, its name below the folder, a tab, its caption. */
  private static final String SHOWN = "images";

  private static final int COLUMNS = 6;
  private static final int SIDE = 160;
  private static final int MOST_CAPTION = 300;

  /** A file that is larger, or has more pixels, is not shown: it costs too much heap here. */
  private static final int MOST_BYTES = 32 << 20;

  private static final ReadOptions READ =
      ReadOptions.DEFAULT.withLimits(
          ImageLimits.DEFAULT.withPixels(ImageLimits.DEFAULT.maxSide(), 4096L * 4096));

  private final String folder;
  private final int most;

  /** Captions by name, the newest last. */
  private final Map<String, String> captions = new LinkedHashMap<>();

  /** As large as they are shown, by name. */
  private final Map<String, Raster> small = new HashMap<>();

  private boolean opened;
  private boolean changed;

  /**
   * @param most images that it shows; 0 for no sheet
   */
  ContactSheetFile(String folder, int most) {
    this.folder = folder;
    this.most = most;
  }

  /** Puts an image last that has appeared; a caption that is null is that of no image. */
  void add(String path, String caption) {
    if (caption == null || most == 0) {
      return;
    }
    open();
    String root = new Path(folder).toString();
    String name = path.startsWith(root) ? path.substring(root.length() + 1) : path;
    put(name, caption.replaceAll("\\s+", " ").strip());
    changed = true;
  }

  private void put(String name, String caption) {
    captions.remove(name);
    small.remove(name);
    captions.put(
        name,
        caption.length() <= MOST_CAPTION
            ? caption
            : caption.substring(0, caption.offsetByCodePoints(0, 100)));
    if (captions.size() > most) {
      String oldest = captions.keySet().iterator().next();
      captions.remove(oldest);
      small.remove(oldest);
    }
  }

  /** What an earlier job, or this one before it failed, has shown. */
  private void open() {
    if (opened) {
      return;
    }
    opened = true;
    try {
      Path sheet = new Path(folder, NAME);
      if (sheet.getFileSystem().exists(sheet)) {
        String shown =
            Images.read(content(sheet), ReadOptions.DEFAULT)
                .metadata()
                .texts()
                .getOrDefault(SHOWN, "");
        shown
            .lines()
            .map(line -> line.split("\t", 2))
            .filter(line -> line.length == 2)
            .forEach(line -> put(line[0], line[1]));
      }
    } catch (IOException | ImageException e) {
      LOG.warn(
          "The contact sheet in {} cannot be read, and begins anew: {}", folder, e.getMessage());
    }
  }

  /** Writes it if it lacks an image that was added. */
  void write() {
    if (!changed) {
      return;
    }
    changed = false;
    ContactSheet page = ContactSheet.columns(COLUMNS).pictureSize(SIDE);
    captions.forEach(
        (name, caption) -> page.add(small.computeIfAbsent(name, this::read), caption, name));
    String shown =
        captions.entrySet().stream()
            .map(each -> each.getKey() + "\t" + each.getValue())
            .collect(Collectors.joining("\n"));
    Path path = new Path(folder, NAME);
    try {
      Raster sheet = page.render();
      byte[] file =
          Images.write(
              new Raster(
                  sheet.channels(),
                  sheet.height(),
                  sheet.width(),
                  sheet.data(),
                  sheet.format(),
                  ImageMetadata.NONE.withTexts(Map.of(SHOWN, shown))),
              "image/png");
      ImageFilesWriter.complete(path.getFileSystem().createRecoverableWriter(), path, file, false)
          .commit();
    } catch (IOException | ImageException e) {
      LOG.warn("Cannot write the contact sheet {}: {}", path, e.getMessage());
    }
  }

  /** Gray where it cannot be shown. */
  private Raster read(String name) {
    try {
      Raster image = Images.read(content(new Path(folder, name)), READ);
      return image.channels() > 4 ? gray() : fitted(image);
    } catch (IOException | ImageException e) {
      LOG.debug("{} is not shown on the contact sheet: {}", name, e.getMessage());
      return gray();
    }
  }

  private static byte[] content(Path path) throws IOException {
    FileSystem files = path.getFileSystem();
    if (files.getFileStatus(path).getLen() > MOST_BYTES) {
      throw new IOException("the file is larger than " + MOST_BYTES + " bytes");
    }
    try (FSDataInputStream in = files.open(path)) {
      return in.readAllBytes();
    }
  }

  private static Raster fitted(Raster image) {
    int longest = Math.max(image.width(), image.height());
    if (longest <= SIDE) {
      return image;
    }
    return FloatResize.resize(
        image,
        Math.max(1, image.height() * SIDE / longest),
        Math.max(1, image.width() * SIDE / longest),
        PilResize.Filter.BICUBIC);
  }

  private static Raster gray() {
    float[] values = new float[SIDE * SIDE];
    Arrays.fill(values, 0.8f);
    return new Raster(1, SIDE, SIDE, values);
  }
}
