/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.StringReader;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamConstants;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamReader;

/**
 * Words by name in GDAL's metadata tag, a small XML text. Items that belong to one band or domain
 * carry this in their name after a bar, such as {@code STATISTICS_MEAN|sample=0}, so that they are
 * written as they were.
 */
final class TiffTexts {

  private TiffTexts() {}

  static SortedMap<String, String> parse(String xml) {
    SortedMap<String, String> texts = new TreeMap<>();
    if (xml.isEmpty()) {
      return texts;
    }
    XMLInputFactory factory = XMLInputFactory.newDefaultFactory();
    // No document types, and so no entities that grow or read files.
    factory.setProperty(XMLInputFactory.SUPPORT_DTD, false);
    factory.setProperty(XMLInputFactory.IS_SUPPORTING_EXTERNAL_ENTITIES, false);
    try {
      XMLStreamReader reader = factory.createXMLStreamReader(new StringReader(xml));
      while (reader.hasNext()) {
        if (reader.next() == XMLStreamConstants.START_ELEMENT
            && reader.getLocalName().equals("Item")) {
          StringBuilder name = new StringBuilder();
          for (int i = 0; i < reader.getAttributeCount(); i++) {
            String attribute = reader.getAttributeLocalName(i);
            if (attribute.equals("name")) {
              name.insert(0, reader.getAttributeValue(i));
            } else {
              name.append('|').append(attribute).append('=').append(reader.getAttributeValue(i));
            }
          }
          texts.put(name.toString(), reader.getElementText());
        }
      }
      return texts;
    } catch (XMLStreamException e) {
      throw new ImageException("Corrupt TIFF file: its metadata are no XML: " + e.getMessage(), e);
    }
  }

  /** In ASCII, as the tag's type demands. */
  static String format(Map<String, String> texts) {
    StringBuilder xml = new StringBuilder("<GDALMetadata>\n");
    texts.forEach(
        (key, text) -> {
          String[] parts = key.split("\\|", -1);
          xml.append("  <Item name=\"").append(escaped(parts[0])).append('"');
          for (int i = 1; i < parts.length; i++) {
            int equals = parts[i].indexOf('=');
            if (equals < 1) {
              throw new ImageException(
                  "A TIFF file cannot hold a text named '%s': '%s' is not attribute=value"
                      .formatted(key, parts[i]));
            }
            xml.append(' ').append(parts[i], 0, equals).append("=\"");
            xml.append(escaped(parts[i].substring(equals + 1))).append('"');
          }
          xml.append('>').append(escaped(text)).append("</Item>\n");
        });
    return xml.append("</GDALMetadata>\n").toString();
  }

  private static String escaped(String text) {
    StringBuilder escaped = new StringBuilder();
    text.codePoints()
        .forEach(
            c -> {
              boolean control = c < 32 && c != '\t' && c != '\n' && c != '\r';
              if (control || c >= 0xD800 && c < 0xE000 || c == 0xFFFE || c == 0xFFFF) {
                throw new ImageException(
                    "A TIFF file cannot hold the character %d of a text".formatted(c));
              }
              if (c < 32 || c > 126 || c == '<' || c == '>' || c == '&' || c == '"') {
                escaped.append("&#").append(c).append(';');
              } else {
                escaped.append((char) c);
              }
            });
    return escaped.toString();
  }
}
