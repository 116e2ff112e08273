/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The elements of a DICOM data set: where they are in the file. Values are read when they are asked
 * for, and sequences are passed over until then, so a file of any size takes little memory.
 */
final class DicomDataSet {
  static final Charset LATIN = StandardCharsets.ISO_8859_1;

  /** Far more elements than any file has at one level. */
  private static final int MAX_ELEMENTS = 1 << 16;

  private static final int MAX_DEPTH = 32;

  /** Of values that are read as text or numbers; pixels and the like are read as bytes. */
  private static final int MAX_VALUE_BYTES = 1 << 20;

  private static final Set<String> LONG_LENGTHS =
      Set.of("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV");

  /** How elements are written. */
  record Encoding(boolean explicit, ByteOrder order) {
    static final Encoding IMPLICIT_LITTLE = new Encoding(false, ByteOrder.LITTLE_ENDIAN);
    static final Encoding EXPLICIT_LITTLE = new Encoding(true, ByteOrder.LITTLE_ENDIAN);
    static final Encoding EXPLICIT_BIG = new Encoding(true, ByteOrder.BIG_ENDIAN);
  }

  /**
   * @param type its value representation, such as DS; empty in an implicit encoding
   * @param at its value's first byte
   * @param length its value's, in bytes
   * @param undefined whether the length was not given: a sequence up to its end mark, or pixels in
   *     fragments, whose length is what is left of the file
   */
  record Element(int tag, String type, long at, long length, boolean undefined) {}

  private final DicomSource source;
  private final Encoding encoding;
  private final SortedMap<Integer, Element> elements = new TreeMap<>(Integer::compareUnsigned);
  private long at;

  private DicomDataSet(DicomSource source, Encoding encoding, long from) {
    this.source = source;
    this.encoding = encoding;
    this.at = from;
  }

  static boolean hasLongLength(String type) {
    return LONG_LENGTHS.contains(type);
  }

  /** Elements of group 2, which say how those behind them are written. */
  static DicomDataSet fileMeta(DicomSource source, long from) {
    DicomDataSet set = new DicomDataSet(source, Encoding.EXPLICIT_LITTLE, from);
    // Some programs write this group implicitly, too.
    boolean explicit = source.size() - from < 8 || isType(source, from + 4);
    if (!explicit) {
      set = new DicomDataSet(source, Encoding.IMPLICIT_LITTLE, from);
    }
    while (source.size() - set.at >= 8
        && source.unsignedShort(set.at, ByteOrder.LITTLE_ENDIAN) == 2) {
      set.keep(set.next(set.encoding, 0));
    }
    return set;
  }

  /** All elements up to the pixels, or to the end of the file. */
  static DicomDataSet upToPixels(DicomSource source, long from, Encoding encoding) {
    DicomDataSet set = new DicomDataSet(source, encoding, from);
    while (source.size() - set.at >= 8) {
      Element element = set.next(encoding, 0);
      set.keep(element);
      if (DicomTag.isPixels(element.tag())) {
        break;
      }
    }
    return set;
  }

  /** An item's elements. */
  private static DicomDataSet item(DicomSource source, long from, long to, Encoding encoding) {
    DicomDataSet set = new DicomDataSet(source, encoding, from);
    while (set.at < to) {
      Element element = set.next(encoding, 0);
      if (element.tag() == DicomTag.ITEM_END) {
        break;
      }
      set.keep(element);
    }
    return set;
  }

  private static boolean isType(DicomSource source, long at) {
    byte[] type = source.bytes(at, 2);
    return type[0] >= 'A' && type[0] <= 'Z' && type[1] >= 'A' && type[1] <= 'Z';
  }

  private void keep(Element element) {
    if (elements.put(element.tag(), element) != null) {
      throw new ImageException(
          "Corrupt DICOM file: element %08X stands twice".formatted(element.tag()));
    }
    if (elements.size() > MAX_ELEMENTS) {
      throw new ImageException(
          "Corrupt DICOM file: it has more than %d elements".formatted(MAX_ELEMENTS));
    }
  }

  /** The element at the place reached, which moves behind it. */
  private Element next(Encoding how, int depth) {
    source.require(at, 8);
    int tag =
        source.unsignedShort(at, how.order()) << 16 | source.unsignedShort(at + 2, how.order());
    String type = "";
    long length;
    boolean structure = DicomTag.group(tag) == 0xFFFE;
    if (structure || !how.explicit() || !isType(source, at + 4)) {
      // An element without a type among others that have one is an implicit one.
      length = source.integer(at + 4, how.order()) & 0xFFFFFFFFL;
      at += 8;
    } else {
      type = new String(source.bytes(at + 4, 2), LATIN);
      if (hasLongLength(type)) {
        length = source.integer(at + 8, how.order()) & 0xFFFFFFFFL;
        at += 12;
      } else {
        length = source.unsignedShort(at + 6, how.order());
        at += 8;
      }
    }
    long from = at;
    if (tag == DicomTag.ITEM_END || tag == DicomTag.SEQUENCE_END) {
      return new Element(tag, type, from, 0, false);
    }
    if (depth == 0 && DicomTag.isPixels(tag)) {
      // Frames are looked for when they are read: that the last is cut off says nothing of others.
      boolean fragments = length == 0xFFFFFFFFL;
      return new Element(tag, type, from, fragments ? source.size() - from : length, fragments);
    }
    if (length < 0xFFFFFFFFL) {
      source.require(at, length);
      at += length;
      return new Element(tag, type, from, length, false);
    }
    if (depth == MAX_DEPTH) {
      throw new ImageException(
          "Corrupt DICOM file: sequences are nested more than %d deep".formatted(MAX_DEPTH));
    }
    // Until its end mark, whether a sequence of items or an item of elements. Inside of an element
    // of unknown type, elements are implicit.
    int end = tag == DicomTag.ITEM ? DicomTag.ITEM_END : DicomTag.SEQUENCE_END;
    Encoding inside = type.equals("UN") ? Encoding.IMPLICIT_LITTLE : how;
    while (true) {
      if (at == source.size()) {
        throw new ImageException(
            "Truncated DICOM file: the sequence at %d has no end".formatted(from));
      }
      Element inner = next(inside, depth + 1);
      if (inner.tag() == end) {
        return new Element(tag, type, from, inner.at() - 8 - from, true);
      }
    }
  }

  /** Where the element after the last one is. */
  long end() {
    return at;
  }

  boolean has(int tag) {
    return elements.containsKey(tag);
  }

  Optional<Element> element(int tag) {
    return Optional.ofNullable(elements.get(tag));
  }

  /** All of this level, in the order of their tags. */
  SortedMap<Integer, Element> elements() {
    return Collections.unmodifiableSortedMap(elements);
  }

  Encoding encoding() {
    return encoding;
  }

  DicomSource source() {
    return source;
  }

  /** The items of a sequence; none if it is not there. */
  List<DicomDataSet> items(int tag) {
    List<DicomDataSet> items = new ArrayList<>();
    for (int i = 0; ; i++) {
      Optional<DicomDataSet> item = item(tag, i);
      if (item.isEmpty()) {
        return items;
      }
      items.add(item.get());
    }
  }

  /** One item of a sequence, from 0; empty if there are fewer. */
  Optional<DicomDataSet> item(int tag, int index) {
    Element sequence = elements.get(tag);
    if (sequence == null) {
      return Optional.empty();
    }
    Encoding inside = sequence.type().equals("UN") ? Encoding.IMPLICIT_LITTLE : encoding;
    DicomDataSet cursor = new DicomDataSet(source, inside, sequence.at());
    long end = sequence.at() + sequence.length();
    for (int i = 0; cursor.at < end; i++) {
      Element item = cursor.next(inside, 0);
      if (item.tag() != DicomTag.ITEM) {
        if (item.tag() == DicomTag.SEQUENCE_END) {
          return Optional.empty();
        }
        throw new ImageException(
            "Corrupt DICOM file: sequence %08X holds %08X where an item is expected"
                .formatted(tag, item.tag()));
      }
      if (i == index) {
        return Optional.of(item(source, item.at(), item.at() + item.length(), inside));
      }
    }
    return Optional.empty();
  }

  /** An element's value. */
  byte[] bytes(Element element, int most) {
    if (element.length() > most) {
      throw new ImageException(
          "The DICOM file's element %08X has %d bytes; at most %d are accepted"
              .formatted(element.tag(), element.length(), most));
    }
    return source.bytes(element.at(), (int) element.length());
  }

  Optional<String> text(int tag) {
    return text(tag, LATIN);
  }

  Optional<String> text(int tag, Charset charset) {
    return element(tag)
        .map(e -> new String(bytes(e, MAX_VALUE_BYTES), charset).replace('\0', ' ').strip());
  }

  /** A text of a person, a place and the like, whose characters the file names. */
  Optional<String> text(int tag, DicomCharset charset) {
    return element(tag)
        .map(e -> charset.decode(bytes(e, MAX_VALUE_BYTES)).replace('\0', ' ').strip());
  }

  /** The texts of an element that has several. */
  List<String> texts(int tag) {
    return text(tag)
        .filter(words -> !words.isEmpty())
        .map(words -> List.of(words.split("\\\\", -1)))
        .orElse(List.of());
  }

  /**
   * One of an element's decimal numbers, from 0; empty if it has fewer.
   *
   * @throws ImageException if it is no finite number
   */
  Optional<Double> decimal(int tag, int index) {
    Element element = elements.get(tag);
    if (element == null) {
      return Optional.empty();
    }
    String found;
    if (element.type().equals("FD") || element.type().equals("FL")) {
      int bytes = element.type().equals("FD") ? 8 : 4;
      if (element.length() < (index + 1L) * bytes) {
        return Optional.empty();
      }
      ByteBuffer value =
          ByteBuffer.wrap(source.bytes(element.at() + (long) index * bytes, bytes))
              .order(encoding.order());
      double number = bytes == 8 ? value.getDouble() : value.getFloat();
      if (Double.isFinite(number)) {
        return Optional.of(number);
      }
      found = Double.toString(number);
    } else {
      List<String> parts = texts(tag);
      if (index >= parts.size()) {
        return Optional.empty();
      }
      found = parts.get(index);
      try {
        double value = Double.parseDouble(found.strip());
        if (Double.isFinite(value)) {
          return Optional.of(value);
        }
      } catch (NumberFormatException e) {
        // Said below, as is infinity.
      }
    }
    throw new ImageException(
        "Corrupt DICOM file: element %08X is '%s'; a finite number is expected"
            .formatted(tag, found));
  }

  /** An element's first number of 32 or 64 bits, as FL and FD; NaN is one, too. */
  Optional<Double> real(int tag, int bits) {
    Element element = elements.get(tag);
    if (element == null || element.length() < bits / 8) {
      return Optional.empty();
    }
    ByteBuffer value =
        ByteBuffer.wrap(source.bytes(element.at(), bits / 8)).order(encoding.order());
    return Optional.of(bits == 64 ? value.getDouble() : value.getFloat());
  }

  /** An element's first whole number of 16 bits. */
  int integer(int tag, int otherwise) {
    return integers(tag, false).stream().findFirst().orElse(otherwise);
  }

  /** An element's whole numbers of 16 bits. */
  List<Integer> integers(int tag, boolean signed) {
    Element element = elements.get(tag);
    if (element == null) {
      return List.of();
    }
    if (element.length() < 2) {
      throw new ImageException(
          "Corrupt DICOM file: element %08X has %d bytes; 2 are expected"
              .formatted(tag, element.length()));
    }
    ByteBuffer values = ByteBuffer.wrap(bytes(element, MAX_VALUE_BYTES)).order(encoding.order());
    List<Integer> numbers = new ArrayList<>();
    while (values.remaining() >= 2) {
      numbers.add(signed ? values.getShort() : values.getShort() & 0xFFFF);
    }
    return numbers;
  }
}
