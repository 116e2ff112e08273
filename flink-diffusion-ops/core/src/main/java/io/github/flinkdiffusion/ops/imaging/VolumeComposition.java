/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.DicomSegmentation;
import io.github.flinkdiffusion.ops.image.DicomSegmentationFile;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NiftiVolumeFile;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.IntFunction;
import org.apache.flink.annotation.Internal;

/**
 * The result of an image task on several slices: one volume of all of them. With {@link
 * ResultFormat#DICOM} a segmentation is two DICOM SEG files, the mask of bits and the answer of
 * shares, each with a frame for each segment of each slice; everything else is a NIfTI file. Memory
 * is that of a slice.
 */
@Internal
public final class VolumeComposition {
  private VolumeComposition() {}

  /**
   * Puts the slices together and writes them to files.
   *
   * @param slices of the volume, from 2
   * @param orders what a slice's result is made like; asked for once each, in order
   * @param tiles a tile's result by its number, of all slices; asked for once each, in order
   * @throws ImageException when the slices are no volume, or a result cannot be written
   */
  public static Composition compose(
      int slices, IntFunction<Composition.Order> orders, IntFunction<Raster> tiles) {
    List<VolumeFile> files = new ArrayList<>();
    try {
      Composition.Order order = null;
      for (int slice = 0; slice < slices; slice++) {
        order = orders.apply(slice);
        if (!order.fitsIntoMemory()) {
          throw Composition.tooLarge(order);
        }
        if (slice == 0) {
          files.addAll(files(order, slices));
        }
        int firstTile = slice * order.plan().tiles().size();
        Raster stacked =
            Assembly.whole(order.plan(), order.first(), tile -> tiles.apply(firstTile + tile));
        Slice result = new Slice(order, stacked, order.noData(0, stacked.height()));
        files.forEach(file -> file.append(result));
      }
      files.forEach(VolumeFile::finish);
      return new Composition(
          order.plan().resultWidth(order.first()),
          order.plan().resultHeight(order.first()),
          files.get(0).artifact(),
          artifact(files, Kind.MASK),
          artifact(files, Kind.UNCERTAINTY),
          Optional.empty());
    } catch (RuntimeException | Error e) {
      files.forEach(file -> Composition.deleteQuietly(file.path));
      throw e;
    } finally {
      files.forEach(VolumeFile::close);
    }
  }

  private static Optional<Artifact> artifact(List<VolumeFile> files, Kind kind) {
    return files.stream().filter(file -> file.kind == kind).map(VolumeFile::artifact).findFirst();
  }

  private static List<VolumeFile> files(Composition.Order order, int slices) {
    List<VolumeFile> files = new ArrayList<>();
    Optional<ClassMap> segments =
        order.format() == ResultFormat.DICOM ? order.classes() : Optional.empty();
    files.add(file(Kind.ANSWER, segments, order, slices));
    if (order.classes().isPresent()) {
      files.add(file(Kind.MASK, segments, order, slices));
    }
    if (order.isEnsemble()) {
      files.add(file(Kind.UNCERTAINTY, Optional.empty(), order, slices));
    }
    return files;
  }

  private static VolumeFile file(
      Kind kind, Optional<ClassMap> segments, Composition.Order order, int slices) {
    Path path;
    try {
      path =
          Files.createTempFile(order.scratch(), "volume-", segments.isPresent() ? ".dcm" : ".nii");
    } catch (IOException e) {
      throw new ImageException(
          "Cannot write a result to the folder " + order.scratch() + ": " + e, e);
    }
    try {
      return segments.isPresent()
          ? new Segmentation(kind, path, order, segments.get())
          : new Volume(kind, path, slices);
    } catch (RuntimeException | Error e) {
      Composition.deleteQuietly(path);
      throw e;
    }
  }

  private enum Kind {
    ANSWER,
    MASK,
    UNCERTAINTY
  }

  /** What the model made of a slice. */
  private record Slice(Composition.Order order, Raster stacked, Optional<NoDataMask> noData) {

    Raster raster(Kind kind) {
      return switch (kind) {
        case ANSWER -> order.picture(stacked, 0, noData);
        case MASK -> {
          ClassMap map = order.classes().orElseThrow();
          yield order.writtenMask(order.decision(stacked, map), map, noData);
        }
        case UNCERTAINTY -> order.uncertainty(stacked, true, noData);
      };
    }

    /** Of all slices' files the first one's is written, so it says nothing of its slice alone. */
    ImageMetadata metadata(Kind kind) {
      ImageMetadata metadata =
          switch (kind) {
            case ANSWER -> order.pictureMetadata();
            case MASK -> order.besides(Composition.MASK);
            case UNCERTAINTY -> order.besides(Composition.UNCERTAINTY);
          };
      SortedMap<String, String> texts = new TreeMap<>(metadata.texts());
      texts.keySet().removeAll(List.of("Frame", "Window"));
      return new ImageMetadata(
          metadata.georeference(), metadata.spacing(), texts, metadata.tags(), metadata.medical());
    }

    List<float[]> shares(Kind kind, ClassMap map) {
      BitSet without = order.pixelsWithout(noData);
      if (kind == Kind.MASK) {
        return CompositionInMemory.segments(order.decision(stacked, map).classes(), map, without)
            .stream()
            .map(DicomSegmentation.Segment::shares)
            .toList();
      }
      List<float[]> shares = new ArrayList<>();
      for (int number = 0; number < map.classes(); number++) {
        if (!map.isBackground(number)) {
          shares.add(share(number, map, without));
        }
      }
      return shares;
    }

    private float[] share(int number, ClassMap map, BitSet without) {
      boolean binary = map.encoding() == ClassMap.Encoding.BINARY;
      float[] share = Assembly.channels(stacked, binary ? 0 : number, 1).data();
      for (int i = 0; i < share.length; i++) {
        float inside = binary && number == 0 ? 1 - share[i] : share[i];
        share[i] = without.get(i) ? 0 : inside;
      }
      return share;
    }
  }

  private abstract static class VolumeFile implements AutoCloseable {
    final Kind kind;
    final Path path;

    VolumeFile(Kind kind, Path path) {
      this.kind = kind;
      this.path = path;
    }

    abstract void append(Slice slice);

    abstract void finish();

    abstract Artifact artifact();

    @Override
    public abstract void close();
  }

  private static final class Volume extends VolumeFile {
    private final NiftiVolumeFile file;

    Volume(Kind kind, Path path, int slices) {
      super(kind, path);
      this.file = new NiftiVolumeFile(path, slices);
    }

    @Override
    void append(Slice slice) {
      file.append(slice.raster(kind).withMetadata(slice.metadata(kind)));
    }

    @Override
    void finish() {
      file.finish();
    }

    @Override
    Artifact artifact() {
      return Artifact.of(path, ResultFormat.NIFTI_TYPE);
    }

    @Override
    public void close() {
      file.close();
    }
  }

  private static final class Segmentation extends VolumeFile {
    private final ClassMap map;
    private final DicomSegmentationFile file;

    Segmentation(Kind kind, Path path, Composition.Order order, ClassMap map) {
      super(kind, path);
      this.map = map;
      List<String> labels = new ArrayList<>();
      for (int number = 0; number < map.classes(); number++) {
        if (!map.isBackground(number)) {
          labels.add(map.labels().get(number));
        }
      }
      this.file =
          new DicomSegmentationFile(
              path,
              order.plan().resultWidth(order.first()),
              order.plan().resultHeight(order.first()),
              labels,
              kind == Kind.ANSWER);
    }

    @Override
    void append(Slice slice) {
      file.append(slice.shares(kind, map), slice.metadata(kind));
    }

    @Override
    void finish() {
      file.finish();
    }

    @Override
    Artifact artifact() {
      return Artifact.of(path, ResultFormat.DICOM_TYPE);
    }

    @Override
    public void close() {
      file.close();
    }
  }
}
