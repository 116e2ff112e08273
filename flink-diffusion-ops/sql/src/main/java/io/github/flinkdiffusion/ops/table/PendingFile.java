/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * A file that is complete, and appears with the checkpoint.
 *
 * @param path where it appears, with its scheme
 * @param caption on the contact sheet; null for a file that is no image
 * @param version of {@code recoverable}
 * @param recoverable how the file system makes it appear
 */
record PendingFile(String path, String caption, int version, byte[] recoverable) {

  static final class Serializer implements SimpleVersionedSerializer<PendingFile> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(PendingFile file) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      try (DataOutputStream out = new DataOutputStream(bytes)) {
        write(out, file.path.getBytes(UTF_8));
        out.writeBoolean(file.caption != null);
        if (file.caption != null) {
          write(out, file.caption.getBytes(UTF_8));
        }
        out.writeInt(file.version);
        write(out, file.recoverable);
      }
      return bytes.toByteArray();
    }

    @Override
    public PendingFile deserialize(int version, byte[] bytes) throws IOException {
      if (version != 1) {
        throw new IOException(
            "The state of a table of image files has version %d; this release reads version 1."
                .formatted(version));
      }
      DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
      String path = new String(read(in), UTF_8);
      String caption = in.readBoolean() ? new String(read(in), UTF_8) : null;
      return new PendingFile(path, caption, in.readInt(), read(in));
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
      out.writeInt(bytes.length);
      out.write(bytes);
    }

    private static byte[] read(DataInputStream in) throws IOException {
      return in.readNBytes(in.readInt());
    }
  }
}
