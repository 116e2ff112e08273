/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.function.ToLongFunction;

/**
 * A file of tensors that is open: its header read, its tensors mapped, and its digest that of the
 * file as it was when it was opened.
 *
 * @param <L> what the header says
 */
abstract class MappedFile<L> implements TensorStore {

  /**
   * Reads what comes before the tensors.
   *
   * @param <L> what it says
   */
  @FunctionalInterface
  interface HeaderReader<L> {
    L read(Path file, FileChannel channel) throws IOException;
  }

  final Path file;
  final L layout;
  final FileDigests digests;
  final FileDigests.Stamp stamp;
  private final FileChannel channel;
  private volatile FileMapping mapping;

  /**
   * Opens a file of any size.
   *
   * @param segmentBytes of a mapping
   * @param dataStart where the tensors' bytes begin
   * @throws WeightsException if it cannot be read
   */
  MappedFile(
      Path file,
      long segmentBytes,
      FileDigests digests,
      HeaderReader<L> header,
      ToLongFunction<L> dataStart) {
    this.file = file;
    this.digests = digests;
    FileChannel opened = null;
    boolean complete = false;
    try {
      opened = FileChannel.open(file, StandardOpenOption.READ);
      channel = opened;
      stamp = FileDigests.Stamp.of(file);
      layout = header.read(file, opened);
      mapping = FileMapping.of(opened, dataStart.applyAsLong(layout), segmentBytes);
      FileDigests.checkUnchanged(file, stamp);
      digests.opened(file, stamp, opened);
      complete = true;
    } catch (NoSuchFileException e) {
      throw new WeightsException(
          "Cannot read weights from " + file + ": there is no such file.", e);
    } catch (IOException e) {
      throw new WeightsException("Cannot read weights from " + file + ": " + e, e);
    } finally {
      if (!complete) {
        closeQuietly(opened);
      }
    }
  }

  /** The mapping that a tensor is read from. */
  final FileMapping mappingFor(String name) {
    FileMapping open = mapping;
    if (open == null) {
      throw new WeightsException("Cannot read tensor '%s': %s is closed".formatted(name, file));
    }
    return open;
  }

  /** What the header says of a tensor. */
  final <E> E entry(Map<String, E> entries, String name) {
    E entry = entries.get(name);
    if (entry == null) {
      throw TensorReads.noSuchTensor(source(), name, names());
    }
    return entry;
  }

  @Override
  public final void requireUnchanged() {
    FileDigests.checkUnchanged(file, stamp);
  }

  @Override
  public final String source() {
    return file.toString();
  }

  @Override
  public final String digest() {
    return digests.digest(file, stamp);
  }

  /**
   * Lets go of the mapping. The virtual machine unmaps it when no buffer from {@link #data} is
   * reachable any more, so a buffer still in use stays valid.
   */
  @Override
  public final void close() {
    mapping = null;
    closeQuietly(channel);
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      // It was read from alone.
    }
  }
}
