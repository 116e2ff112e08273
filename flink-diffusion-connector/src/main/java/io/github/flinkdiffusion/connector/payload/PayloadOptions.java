/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;
import org.jspecify.annotations.NullMarked;

/** Where images are that are too large for an event; see {@link PayloadSettings}. */
@NullMarked
@PublicEvolving
public final class PayloadOptions {

  /**
   * Folder, as a URI, for images above {@link #INLINE_LIMIT}. Default: images stay in their events.
   */
  public static final ConfigOption<String> STORE =
      ConfigOptions.key("diffusion.payload.store")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Folder for images above the inline limit, as URI of a file system that Flink knows:"
                  + " s3://bucket/payloads, hdfs://namenode/payloads, or file:///mnt/payloads"
                  + " (reachable from all task managers under this name). Plain text, without"
                  + " percent encoding. Default: all images travel in their events, and a result"
                  + " that does not fit into a Kafka record becomes a failure.");

  /** Largest image that stays in its event, where there is a store. */
  public static final ConfigOption<MemorySize> INLINE_LIMIT =
      ConfigOptions.key("diffusion.payload.inline-limit")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(1))
          .withDescription(
              "Maximum size of an image that travels in its event when there is a store. Set it"
                  + " well below diffusion.kafka.max-event-size: a result may hold three images.");

  /** Folders, as URIs, below which images that events name may be read. The store is always one. */
  public static final ConfigOption<List<String>> ALLOWED_PREFIXES =
      ConfigOptions.key("diffusion.payload.allowed-prefixes")
          .stringType()
          .asList()
          .defaultValues()
          .withDescription(
              "Folders, as URIs separated by semicolons, below which the images that events name"
                  + " may be read. The store is always one of them. Whoever can send events to the"
                  + " job can make it read what is below these folders, and nothing else: '..',"
                  + " percent encoding and other schemes are refused, and on the local file system"
                  + " links are resolved first.");

  /** Largest image that is read as a whole, in encoded bytes. */
  public static final ConfigOption<MemorySize> MAX_SIZE =
      ConfigOptions.key("diffusion.payload.max-size")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(512))
          .withDescription(
              "Maximum size of an image that is read as a whole: its encoded bytes, as its"
                  + " reference says. A larger one is refused before a byte of it is read.");

  /**
   * Whether only the needed parts of a referenced TIFF file are read, without checking its digest.
   */
  public static final ConfigOption<Boolean> READ_BY_RANGES =
      ConfigOptions.key("diffusion.payload.read-by-ranges")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Read only the directories and the needed tiles of a referenced TIFF file, where it"
                  + " lies, on any file system that Flink knows. The reference's length is checked."
                  + " Its SHA-256 is not, since that takes all bytes. A file that is replaced while"
                  + " it is read fails its request. Default: every referenced file is read as a"
                  + " whole and verified first, as other kinds of files always are.");

  /** File of the keys that payloads are encrypted with. */
  public static final ConfigOption<String> KEY_FILE =
      ConfigOptions.key("diffusion.payload.key-file")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "File of keys, the same on every task manager: a line for each, its id, a space and"
                  + " 32 bytes in base64. Payloads are stored encrypted with the first one"
                  + " (AES-256-GCM, authenticated; the id stands in the file), and read with"
                  + " whichever they name. To change the key, put the new one first and keep the"
                  + " others. References tell length and SHA-256 of the encrypted file. Images in"
                  + " events, below diffusion.payload.inline-limit, are not encrypted. With keys,"
                  + " files are read as a whole. Without them, payloads are stored as they are, and"
                  + " encrypted ones are refused.");

  /** All of them, in the order of the reference page. */
  @Internal
  public static final List<ConfigOption<?>> ALL =
      List.of(STORE, INLINE_LIMIT, ALLOWED_PREFIXES, MAX_SIZE, READ_BY_RANGES, KEY_FILE);

  private PayloadOptions() {}
}
