/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * CBOR (RFC 8949) as far as C2PA and COSE use it. Values are {@link Long}, {@link BigInteger},
 * {@code byte[]}, {@link String}, {@link List}, {@link Map}, {@link Boolean}, {@link Double},
 * {@link Tagged} and null.
 *
 * <p>Written is the shortest form, maps in their own order. Read is what others write, too, with
 * indefinite lengths; files are anybody's, so nesting is bounded, a length is compared with what is
 * there before memory is taken for it, and a key that comes twice is an error.
 *
 * <p>Jackson's CBOR module is not used: it turns the whole numbers that COSE has for keys into
 * texts, and does not show tags in trees.
 */
final class Cbor {
  /** A value with what it means, such as 18 for COSE_Sign1. */
  record Tagged(long tag, Object value) {}

  private static final int MOST_DEPTH = 32;
  private static final int INDEFINITE = 31;
  private static final Object BREAK = new Object();

  private Cbor() {}

  // ---------------------------------------------------------------- to write

  static byte[] encode(Object value) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    write(value, out);
    return out.toByteArray();
  }

  private static void write(Object value, ByteArrayOutputStream out) {
    if (value == null) {
      out.write(0xf6);
    } else if (value instanceof Boolean truth) {
      out.write(truth ? 0xf5 : 0xf4);
    } else if (value instanceof Integer || value instanceof Long) {
      long number = ((Number) value).longValue();
      head(number < 0 ? 1 : 0, number < 0 ? -1 - number : number, out);
    } else if (value instanceof byte[] bytes) {
      head(2, bytes.length, out);
      out.writeBytes(bytes);
    } else if (value instanceof String text) {
      byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
      head(3, utf8.length, out);
      out.writeBytes(utf8);
    } else if (value instanceof List<?> list) {
      head(4, list.size(), out);
      list.forEach(item -> write(item, out));
    } else if (value instanceof Map<?, ?> map) {
      head(5, map.size(), out);
      map.forEach(
          (key, item) -> {
            write(key, out);
            write(item, out);
          });
    } else if (value instanceof Tagged tagged) {
      head(6, tagged.tag(), out);
      write(tagged.value(), out);
    } else {
      throw new IllegalArgumentException("Not written as CBOR: " + value.getClass());
    }
  }

  private static void head(int major, long number, ByteArrayOutputStream out) {
    int type = major << 5;
    if (number < 24) {
      out.write(type | (int) number);
      return;
    }
    int bytes = number < 1 << 8 ? 1 : number < 1 << 16 ? 2 : number < 1L << 32 ? 4 : 8;
    out.write(type | (24 + Integer.numberOfTrailingZeros(bytes)));
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
      out.write((int) (number >>> shift));
    }
  }

  // ---------------------------------------------------------------- to read

  /**
   * The one value that these bytes are.
   *
   * @throws CredentialsException if they are anything else
   */
  static Object decode(byte[] bytes) {
    Reader reader = new Reader(bytes);
    Object value = reader.read(0);
    if (value == BREAK || reader.at != bytes.length) {
      throw new CredentialsException(
          "%d bytes follow a CBOR value of %d bytes"
              .formatted(bytes.length - reader.at, reader.at));
    }
    return value;
  }

  /** As {@link #decode}, of a map. */
  static Map<?, ?> decodeMap(byte[] bytes) {
    Object value = decode(bytes);
    if (value instanceof Map<?, ?> map) {
      return map;
    }
    throw new CredentialsException("A CBOR map is expected");
  }

  /** A map's value of this type, if it is there. */
  static <T> Optional<T> get(Map<?, ?> map, Object key, Class<T> type) {
    Object value = map.get(key);
    return type.isInstance(value) ? Optional.of(type.cast(value)) : Optional.empty();
  }

  /** The maps in a map's list, without anything else in it. */
  static List<Map<?, ?>> maps(Map<?, ?> map, Object key) {
    List<Map<?, ?>> maps = new ArrayList<>();
    get(map, key, List.class)
        .ifPresent(
            list -> {
              for (Object item : list) {
                if (item instanceof Map<?, ?> one) {
                  maps.add(one);
                }
              }
            });
    return maps;
  }

  private static final class Reader {
    private final byte[] bytes;
    private int at;

    Reader(byte[] bytes) {
      this.bytes = bytes;
    }

    Object read(int depth) {
      if (depth > MOST_DEPTH) {
        throw new CredentialsException("CBOR is nested more than " + MOST_DEPTH + " deep");
      }
      int first = take(1)[0] & 0xff;
      int major = first >> 5;
      int info = first & 31;
      if (major == 7) {
        return simple(info);
      }
      if (info == INDEFINITE) {
        return indefinite(major, depth);
      }
      long number = number(info);
      return switch (major) {
        case 0 -> number >= 0 ? (Object) number : unsigned(number);
        case 1 -> number >= 0 ? (Object) (-1 - number) : unsigned(number).not();
        case 2 -> take(number);
        case 3 -> text(take(number));
        case 4 -> list(number, depth);
        case 5 -> map(number, depth);
        default -> new Tagged(number, value(depth));
      };
    }

    private Object value(int depth) {
      Object value = read(depth + 1);
      if (value == BREAK) {
        throw new CredentialsException("CBOR ends a value that has not begun");
      }
      return value;
    }

    private List<Object> list(long size, int depth) {
      List<Object> list = new ArrayList<>();
      for (long i = 0; i < atMostWhatIsThere(size); i++) {
        list.add(value(depth));
      }
      return list;
    }

    private Map<Object, Object> map(long size, int depth) {
      Map<Object, Object> map = new LinkedHashMap<>();
      for (long i = 0; i < atMostWhatIsThere(size); i++) {
        put(map, value(depth), depth);
      }
      return map;
    }

    private void put(Map<Object, Object> map, Object key, int depth) {
      if (map.containsKey(key)) {
        throw new CredentialsException("The CBOR key '" + key + "' comes twice");
      }
      map.put(key, value(depth));
    }

    private Object indefinite(int major, int depth) {
      ByteArrayOutputStream joined = new ByteArrayOutputStream();
      List<Object> list = new ArrayList<>();
      Map<Object, Object> map = new LinkedHashMap<>();
      for (Object next = read(depth + 1); next != BREAK; next = read(depth + 1)) {
        switch (major) {
          case 2, 3 -> {
            if (major == 2 && next instanceof byte[] part) {
              joined.writeBytes(part);
            } else if (major == 3 && next instanceof String part) {
              joined.writeBytes(part.getBytes(StandardCharsets.UTF_8));
            } else {
              throw new CredentialsException("A CBOR string has parts of another type");
            }
          }
          case 4 -> list.add(next);
          case 5 -> put(map, next, depth);
          default -> throw new CredentialsException("A CBOR number has no length");
        }
      }
      return switch (major) {
        case 2 -> joined.toByteArray();
        case 3 -> text(joined.toByteArray());
        case 4 -> list;
        case 5 -> map;
        default -> throw new CredentialsException("A CBOR number has no length");
      };
    }

    private Object simple(int info) {
      return switch (info) {
        case 20 -> false;
        case 21 -> true;
        case 22, 23 -> null;
        case 25 -> half((int) big(2));
        case 26 -> (double) Float.intBitsToFloat((int) big(4));
        case 27 -> Double.longBitsToDouble(big(8));
        case INDEFINITE -> BREAK;
        default -> throw new CredentialsException("Unknown CBOR value 7/" + info);
      };
    }

    private static Double half(int bits) {
      int exponent = bits >> 10 & 31;
      int mantissa = bits & 1023;
      double size =
          exponent == 31
              ? mantissa == 0 ? Double.POSITIVE_INFINITY : Double.NaN
              : exponent == 0
                  ? Math.scalb((double) mantissa, -24)
                  : Math.scalb(1024.0 + mantissa, exponent - 25);
      return (bits & 0x8000) == 0 ? size : -size;
    }

    private long number(int info) {
      return switch (info) {
        case 24 -> big(1);
        case 25 -> big(2);
        case 26 -> big(4);
        case 27 -> big(8);
        default -> {
          if (info > 27) {
            throw new CredentialsException("Unknown CBOR length " + info);
          }
          yield info;
        }
      };
    }

    private long big(int size) {
      long number = 0;
      for (byte one : take(size)) {
        number = number << 8 | one & 0xff;
      }
      return number;
    }

    private static BigInteger unsigned(long number) {
      return new BigInteger(Long.toUnsignedString(number));
    }

    /** Each value takes a byte at least. */
    private long atMostWhatIsThere(long size) {
      if (size < 0 || size > bytes.length) {
        throw new CredentialsException(
            "A CBOR list or map of %s values in %d bytes"
                .formatted(Long.toUnsignedString(size), bytes.length));
      }
      return size;
    }

    private byte[] take(long size) {
      if (size < 0 || size > bytes.length - at) {
        throw new CredentialsException(
            "CBOR ends early: %s bytes are expected at %d, %d are there"
                .formatted(Long.toUnsignedString(size), at, bytes.length - at));
      }
      at += (int) size;
      return Arrays.copyOfRange(bytes, at - (int) size, at);
    }

    private static String text(byte[] utf8) {
      try {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
      } catch (CharacterCodingException e) {
        throw new CredentialsException("A CBOR text is not UTF-8", e);
      }
    }
  }
}
