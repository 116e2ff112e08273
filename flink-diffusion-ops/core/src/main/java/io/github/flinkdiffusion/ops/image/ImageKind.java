/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Kinds of image files, told apart by their first bytes, never by a name that came with them. All
 * that ask which kind a file is ask here, so nobody takes for a TIFF file what another reads as
 * DICOM.
 *
 * <p>The strongest mark counts. That is DICOM's: it stands at byte 128, behind a preamble that may
 * hold anything, such as the first bytes of a TIFF file, and no other file has it there but by
 * chance. The weakest is that of a DICOM file without a preamble: its first elements make sense.
 */
@Internal
public enum ImageKind {
  PNG("image/png") {
    @Override
    boolean hasMark(byte[] head) {
      return PngHeader.hasSignature(head);
    }
  },
  JPEG("image/jpeg") {
    @Override
    boolean hasMark(byte[] head) {
      return begins(head, 0, 0xFF, 0xD8, 0xFF);
    }
  },
  TIFF("image/tiff") {
    @Override
    boolean hasMark(byte[] head) {
      return TiffDirectory.recognises(head);
    }
  },
  WEBP("image/webp") {
    @Override
    boolean hasMark(byte[] head) {
      return begins(head, 0, 'R', 'I', 'F', 'F') && begins(head, 8, 'W', 'E', 'B', 'P');
    }
  },
  GIF("image/gif") {
    @Override
    boolean hasMark(byte[] head) {
      return begins(head, 0, 'G', 'I', 'F', '8', '7', 'a')
          || begins(head, 0, 'G', 'I', 'F', '8', '9', 'a');
    }
  },
  BMP("image/bmp") {
    @Override
    boolean hasMark(byte[] head) {
      // Two letters alone are no mark: a header of a known length follows.
      return begins(head, 0, 'B', 'M')
          && begins(head, 15, 0, 0, 0)
          && (head[14] == 12 || head[14] == 16 || head[14] >= 40 && head[14] <= 124);
    }
  },
  DICOM("application/dicom") {
    @Override
    boolean hasMark(byte[] head) {
      return begins(head, 128, 'D', 'I', 'C', 'M');
    }
  },
  NIFTI("application/x-nifti") {
    @Override
    boolean hasMark(byte[] head) {
      return NiftiCodec.hasMark(head);
    }
  };

  /** First bytes of a file that suffice to tell its kind. */
  public static final int HEAD_BYTES = 1 << 14;

  private final String mediaType;

  ImageKind(String mediaType) {
    this.mediaType = mediaType;
  }

  /** Such as {@code image/png}. */
  public String mediaType() {
    return mediaType;
  }

  /** Whether parts of such a file are read from it, so that its size does not matter. */
  public boolean isReadByParts() {
    return this == TIFF;
  }

  abstract boolean hasMark(byte[] head);

  /**
   * The kind of a file; empty if it is of none.
   *
   * @param head its first bytes, {@link #HEAD_BYTES} where it has as many; may be empty
   */
  public static Optional<ImageKind> of(byte[] head) {
    if (DICOM.hasMark(head)) {
      return Optional.of(DICOM);
    }
    return Arrays.stream(values())
        .filter(kind -> kind.hasMark(head))
        .findFirst()
        .or(() -> beginsAsDataSet(head) ? Optional.of(DICOM) : Optional.empty());
  }

  /** The name of a kind that is known, and for which there is no decoder. */
  static Optional<String> notRead(byte[] head) {
    if (begins(head, 4, 'f', 't', 'y', 'p') && head.length >= 12) {
      String brand = new String(head, 8, 4, StandardCharsets.ISO_8859_1);
      return switch (brand) {
        case "avif", "avis" -> Optional.of("An AVIF file");
        case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1" ->
            Optional.of("A HEIC file (HEIF, " + brand + ")");
        default -> Optional.empty();
      };
    }
    if (begins(head, 0, 0xFF, 0x0A) || begins(head, 4, 'J', 'X', 'L', ' ')) {
      return Optional.of("A JPEG XL file");
    }
    return begins(head, 4, 'j', 'P', ' ', ' ') || begins(head, 0, 0xFF, 0x4F, 0xFF, 0x51)
        ? Optional.of("A JPEG 2000 file that no DICOM file holds")
        : Optional.empty();
  }

  private static boolean begins(byte[] head, int at, int... mark) {
    if (head.length < at + mark.length) {
      return false;
    }
    for (int i = 0; i < mark.length; i++) {
      if ((head[at + i] & 0xFF) != mark[i]) {
        return false;
      }
    }
    return true;
  }

  /**
   * Whether the first elements are those of a DICOM file that lacks preamble and mark: three of
   * them, of the groups 2 or 8, each after the one before, each with a length that such elements
   * have.
   */
  private static boolean beginsAsDataSet(byte[] head) {
    return looksLikeElements(head, ByteOrder.LITTLE_ENDIAN)
        || looksLikeElements(head, ByteOrder.BIG_ENDIAN);
  }

  private static boolean looksLikeElements(byte[] head, ByteOrder order) {
    ByteBuffer bytes = ByteBuffer.wrap(head).order(order);
    int before = 0;
    int at = 0;
    for (int i = 0; i < 3; i++) {
      if (head.length - at < 8) {
        return false;
      }
      int group = bytes.getShort(at) & 0xFFFF;
      int tag = group << 16 | bytes.getShort(at + 2) & 0xFFFF;
      boolean explicit = isUpperCase(head[at + 4]) && isUpperCase(head[at + 5]);
      long length = explicit ? bytes.getShort(at + 6) & 0xFFFF : bytes.getInt(at + 4) & 0xFFFFFFFFL;
      if (group != 2 && group != 8 || i > 0 && tag <= before || length > 1024) {
        return false;
      }
      if (explicit && DicomDataSet.hasLongLength(new String(head, at + 4, 2, DicomDataSet.LATIN))) {
        if (head.length - at < 12) {
          return false;
        }
        length = 4 + (bytes.getInt(at + 8) & 0xFFFFFFFFL);
        if (length > 1028) {
          // A sequence, after elements that are in order.
          return i > 0;
        }
      }
      before = tag;
      at += 8 + (int) length;
    }
    return true;
  }

  private static boolean isUpperCase(byte letter) {
    return letter >= 'A' && letter <= 'Z';
  }
}
