/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Whether and with which key generated images get a {@link SpreadWatermark}. Its payload is in the
 * audit record, as {@value #PAYLOAD}: the first 48 bits of the SHA-256 of the record without it,
 * and without who signs the file. So the same request gets the same mark, and a mark leads to its
 * record.
 */
@Internal
public final class WatermarkSettings implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Parameter of audit records: 12 hexadecimal digits. */
  public static final String PAYLOAD = "watermark.payload";

  /** Parameter of audit records: which key, see {@link WatermarkKey#id}. */
  public static final String KEY = "watermark.key";

  private static final int DIGITS = SpreadWatermark.PAYLOAD_BITS / 4;

  private final String keyFile;
  private transient Key key;

  private record Key(String id, SpreadWatermark watermark) {}

  private WatermarkSettings(String keyFile) {
    this.keyFile = keyFile;
  }

  static WatermarkSettings of(ReadableConfig config) {
    return new WatermarkSettings(config.get(DiffusionOptions.WATERMARK_KEY_FILE));
  }

  /**
   * Reads the key, if there is to be one, so that a job without it fails at once.
   *
   * @throws ImageException naming the file, if it cannot be read
   */
  public void requireKey() {
    if (keyFile != null) {
      key();
    }
  }

  private synchronized Key key() {
    if (key == null) {
      WatermarkKey read = WatermarkKey.read(Path.of(keyFile));
      key = new Key(read.id(), new SpreadWatermark(read));
    }
    return key;
  }

  /**
   * A plain picture's record, with the payload of its mark where it gets one: in three colors, of
   * 256 pixels a side, at least.
   */
  Audit in(Audit audit, int channels, int height, int width) {
    if (keyFile == null || channels != 3 || !SpreadWatermark.fits(height, width)) {
      return audit;
    }
    SortedMap<String, String> parameters = new TreeMap<>(audit.parameters());
    parameters.put(KEY, key().id());
    SortedMap<String, String> decisive = new TreeMap<>(parameters);
    decisive.remove(CredentialSettings.CERTIFICATE);
    String digest =
        Sha256.hex(audit.withParameters(decisive).toJson().getBytes(StandardCharsets.UTF_8));
    parameters.put(PAYLOAD, digest.substring(0, DIGITS));
    return audit.withParameters(parameters);
  }

  /** The result with the mark that its record has. */
  Raster mark(Raster result, Audit audit) {
    String payload = audit.parameters().get(PAYLOAD);
    return keyFile == null || payload == null
        ? result
        : key().watermark().embed(result, Long.parseLong(payload, 16));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof WatermarkSettings that && Objects.equals(keyFile, that.keyFile);
  }

  @Override
  public int hashCode() {
    return Objects.hashCode(keyFile);
  }
}
