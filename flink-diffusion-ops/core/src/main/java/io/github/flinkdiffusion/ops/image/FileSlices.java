/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What a file has of frames or slices, from its header.
 *
 * @param kind of the file
 * @param count of pages, see {@link ReadOptions#page()}; 1 for kinds of files that have no slices
 * @param ofVolume pages of the first volume; those behind them are of others
 * @param places of a DICOM file's frames that were asked for, if the file says where they lie
 */
@Internal
public record FileSlices(
    ImageKind kind, long count, long ofVolume, List<Optional<SlicePlace>> places) {

  /** Of a DICOM file, whose frames' groups are behind each other. */
  private static final int MOST_PLACES = 1 << 14;

  /**
   * Looks at a file.
   *
   * @param options with the plane that slices of a NIfTI file are cut in
   * @throws ImageException if it is of no known kind, or damaged
   */
  public static FileSlices of(Path file, ReadOptions options) {
    try (SeekableByteChannel channel = Files.newByteChannel(file)) {
      byte[] head = Channels.head(channel);
      ImageKind kind =
          ImageKind.of(head)
              .orElseThrow(() -> new ImageException("A file that is not an image of a known kind"));
      return switch (kind) {
        case DICOM -> {
          DicomFile dicom =
              DicomFile.open(new DicomSource(channel), options.limits().maxBytes() / 4);
          int frames = dicom.layout().frames();
          List<Optional<SlicePlace>> places = new ArrayList<>();
          for (int frame = 0; frame < Math.min(frames, MOST_PLACES); frame++) {
            places.add(dicom.place(frame));
          }
          yield new FileSlices(kind, frames, frames, places);
        }
        case NIFTI -> {
          channel.position(0);
          byte[] first = java.nio.channels.Channels.newInputStream(channel).readNBytes(1 << 16);
          NiftiHeader header = NiftiCodec.header(first);
          long slices = header.dims()[header.storedAxes()[options.plane().slices]];
          yield new FileSlices(kind, slices * header.volumes(), slices, List.of());
        }
        default -> new FileSlices(kind, 1, 1, List.of());
      };
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file " + file + ": " + e, e);
    }
  }
}
