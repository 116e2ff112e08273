/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import com.sun.jna.NativeLibrary;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Memory of this process outside of the Java heap, as Linux counts it. On the CPU, libtorch ends
 * the process when it gets none, so whoever calls it asks here first. Elsewhere than on Linux
 * nothing is known, and nothing is refused.
 */
@Internal
public final class NativeMemory {
  private static final NativeMemory OF_PROCESS = new NativeMemory(Path.of("/"));
  private static final Pattern KIB = Pattern.compile("\\s*(\\d+) kB");
  private static final long UNLIMITED = 1L << 60;

  private final Path root;

  /**
   * @param root folder that has the kernel's {@code proc} and {@code sys/fs/cgroup} in it
   */
  public NativeMemory(Path root) {
    this.root = root;
  }

  public static NativeMemory ofProcess() {
    return OF_PROCESS;
  }

  // ------------------------------------------------------------------ what is left

  /**
   * Bytes that the process can still take: the least of what the machine has available, of what its
   * control group (version 1 or 2) and those above it leave, and of what its address space leaves
   * (RLIMIT_AS). What the Java heap may still grow by is taken off, but for the address space,
   * where the heap has its place already.
   *
   * @return empty where it is not known
   */
  public OptionalLong available() {
    long left = Long.MAX_VALUE;
    for (OptionalLong limit : List.of(ofMachine(), ofControlGroup())) {
      left = Math.min(left, limit.orElse(Long.MAX_VALUE));
    }
    if (left < Long.MAX_VALUE) {
      left = Math.max(0, left - heapToCome());
    }
    left = Math.min(left, ofAddressSpace().orElse(Long.MAX_VALUE));
    return left == Long.MAX_VALUE ? OptionalLong.empty() : OptionalLong.of(left);
  }

  private static long heapToCome() {
    long touched = 0;
    for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
      touched += pool.getType() == MemoryType.HEAP ? pool.getPeakUsage().getUsed() : 0;
    }
    return Math.max(0, Runtime.getRuntime().maxMemory() - touched);
  }

  OptionalLong ofMachine() {
    return kib("proc/meminfo", "MemAvailable:");
  }

  OptionalLong ofAddressSpace() {
    OptionalLong used = kib("proc/self/status", "VmSize:");
    for (String line : lines("proc/self/limits")) {
      if (line.startsWith("Max address space")) {
        String soft = line.substring("Max address space".length()).strip().split("\\s+")[0];
        return soft.matches("\\d+") && used.isPresent()
            ? OptionalLong.of(Math.max(0, Long.parseLong(soft) - used.getAsLong()))
            : OptionalLong.empty();
      }
    }
    return OptionalLong.empty();
  }

  /** The least of the group's and its parents'; in a container, the group is the root. */
  OptionalLong ofControlGroup() {
    long left = Long.MAX_VALUE;
    for (String line : lines("proc/self/cgroup")) {
      String[] parts = line.split(":", 3);
      if (parts.length < 3) {
        continue;
      }
      if (parts[0].equals("0") && parts[1].isEmpty()) {
        left =
            Math.min(
                left,
                upwards(
                    "sys/fs/cgroup", parts[2], "memory.max", "memory.current", "inactive_file"));
      } else if (List.of(parts[1].split(",")).contains("memory")) {
        left =
            Math.min(
                left,
                upwards(
                    "sys/fs/cgroup/memory",
                    parts[2],
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_inactive_file"));
      }
    }
    return left == Long.MAX_VALUE ? OptionalLong.empty() : OptionalLong.of(Math.max(0, left));
  }

  private long upwards(String mount, String group, String limit, String usage, String reclaimable) {
    long left = Long.MAX_VALUE;
    String path = group;
    while (true) {
      String folder = mount + (path.equals("/") ? "" : path) + "/";
      OptionalLong most = number(folder + limit);
      OptionalLong used = number(folder + usage);
      if (most.isPresent() && used.isPresent() && most.getAsLong() < UNLIMITED) {
        long files = statistic(folder + "memory.stat", reclaimable);
        left = Math.min(left, most.getAsLong() - used.getAsLong() + files);
      }
      if (path.equals("/") || path.isEmpty()) {
        return left;
      }
      path = path.substring(0, Math.max(1, path.lastIndexOf('/')));
    }
  }

  // ------------------------------------------------------------------ what a call takes

  /**
   * Runs a call and measures by how much the process's resident memory grew meanwhile, at most.
   * Other threads' memory counts, too.
   *
   * @return empty where it cannot be measured; the call has been made in any case
   */
  public OptionalLong growthDuring(Runnable call) {
    giveBackFree();
    OptionalLong before = resident();
    boolean reset = resetPeak();
    call.run();
    OptionalLong peak = kib("proc/self/status", "VmHWM:");
    return reset && before.isPresent() && peak.isPresent()
        ? OptionalLong.of(Math.max(0, peak.getAsLong() - before.getAsLong()))
        : OptionalLong.empty();
  }

  OptionalLong resident() {
    return kib("proc/self/status", "VmRSS:");
  }

  private boolean resetPeak() {
    try {
      Files.writeString(root.resolve("proc/self/clear_refs"), "5");
      return true;
    } catch (IOException | SecurityException e) {
      return false;
    }
  }

  /** Returns to the kernel what the C library holds for later; of other allocators it does not. */
  public void giveBackFree() {
    try {
      NativeLibrary.getProcess().getFunction("malloc_trim").invokeInt(new Object[] {0L});
    } catch (LinkageError | RuntimeException e) {
      // Not glibc: what is free counts as taken, which errs on the safe side.
    }
  }

  // ------------------------------------------------------------------ files

  private OptionalLong kib(String file, String field) {
    for (String line : lines(file)) {
      if (line.startsWith(field)) {
        Matcher matcher = KIB.matcher(line.substring(field.length()));
        return matcher.matches()
            ? OptionalLong.of(Long.parseLong(matcher.group(1)) << 10)
            : OptionalLong.empty();
      }
    }
    return OptionalLong.empty();
  }

  private OptionalLong number(String file) {
    List<String> lines = lines(file);
    return lines.isEmpty() || !lines.get(0).strip().matches("\\d{1,18}")
        ? OptionalLong.empty()
        : OptionalLong.of(Long.parseLong(lines.get(0).strip()));
  }

  private long statistic(String file, String name) {
    for (String line : lines(file)) {
      if (line.startsWith(name + " ")) {
        return Long.parseLong(line.substring(name.length() + 1).strip());
      }
    }
    return 0;
  }

  /** None where there is no such file: another system, or another version of control groups. */
  private List<String> lines(String file) {
    try {
      // Not readAllLines(): the kernel's files have no length.
      return new ArrayList<>(Files.readString(root.resolve(file)).lines().toList());
    } catch (IOException | SecurityException e) {
      return List.of();
    }
  }
}
