/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a checkpoint holds of {@link Suspects}.
 *
 * @param allSuspected whether those that nobody has said anything of may be guilty
 * @param toCome requests that may still come that were read before the failure
 * @param groups of which each has at least one that is guilty
 * @param guilt of those that failed while they were alone
 * @param poison those that are not run any more, and why
 */
record SavedSuspects(
    boolean watched,
    boolean allSuspected,
    long toCome,
    List<Set<String>> groups,
    Map<String, Guilt> guilt,
    Map<String, String> poison) {

  private static final byte VERSION = 1;

  /** How often a request failed its task, and how often it ended its process, while alone. */
  record Guilt(int failures, int deaths) {
    Guilt plus(Guilt more) {
      return new Guilt(failures + more.failures, deaths + more.deaths);
    }
  }

  /** Version, watch, groups, guilt, verdicts. */
  byte[] bytes() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeByte(VERSION);
      out.writeBoolean(watched);
      out.writeBoolean(allSuspected);
      out.writeLong(toCome);
      out.writeInt(groups.size());
      for (Set<String> group : groups) {
        out.writeInt(group.size());
        for (String key : group) {
          out.writeUTF(key);
        }
      }
      out.writeInt(guilt.size());
      for (Map.Entry<String, Guilt> of : guilt.entrySet()) {
        out.writeUTF(of.getKey());
        out.writeInt(of.getValue().failures());
        out.writeInt(of.getValue().deaths());
      }
      out.writeInt(poison.size());
      for (Map.Entry<String, String> of : poison.entrySet()) {
        out.writeUTF(of.getKey());
        out.writeUTF(of.getValue());
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Writing to memory does not fail.", e);
    }
    return bytes.toByteArray();
  }

  /**
   * @throws DiffusionException when the bytes were not written by this or an earlier version
   */
  static SavedSuspects of(byte[] bytes) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      byte version = in.readByte();
      if (version != VERSION) {
        throw new IOException("format version " + version + " is not known");
      }
      boolean watched = in.readBoolean();
      boolean allSuspected = in.readBoolean();
      long toCome = in.readLong();
      List<Set<String>> groups = new ArrayList<>();
      for (int left = in.readInt(); left > 0; left--) {
        Set<String> group = new LinkedHashSet<>();
        for (int keys = in.readInt(); keys > 0; keys--) {
          group.add(in.readUTF());
        }
        groups.add(group);
      }
      Map<String, Guilt> guilt = new HashMap<>();
      for (int left = in.readInt(); left > 0; left--) {
        guilt.put(in.readUTF(), new Guilt(in.readInt(), in.readInt()));
      }
      Map<String, String> poison = new LinkedHashMap<>();
      for (int left = in.readInt(); left > 0; left--) {
        poison.put(in.readUTF(), in.readUTF());
      }
      return new SavedSuspects(watched, allSuspected, toCome, groups, guilt, poison);
    } catch (IOException e) {
      throw new DiffusionException(
          "What the coordinator saved of failed requests cannot be read, %d bytes: %s; restore with the version that wrote it, or a later one."
              .formatted(bytes.length, e.getMessage()),
          e);
    }
  }
}
