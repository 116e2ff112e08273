/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class NativeMemoryTest {
  @TempDir Path root;
  private NativeMemory memory;

  @BeforeEach
  void reads() {
    memory = new NativeMemory(root);
  }

  private void file(String path, String content) throws IOException {
    Path file = root.resolve(path);
    Files.createDirectories(file.getParent());
    Files.writeString(file, content);
  }

  @Test
  void ofAGroupAndTheGroupsAboveItTheTightestCounts() throws IOException {
    file("proc/self/cgroup", "0::/pod/container\n");
    file("sys/fs/cgroup/memory.current", "9\n"); // the root has no limit
    file("sys/fs/cgroup/pod/memory.max", "5000\n");
    file("sys/fs/cgroup/pod/memory.current", "4500\n");
    file("sys/fs/cgroup/pod/memory.stat", "anon 4000\ninactive_file 100\n");
    file("sys/fs/cgroup/pod/container/memory.max", "max\n");
    file("sys/fs/cgroup/pod/container/memory.current", "4000\n");
    assertThat(memory.ofControlGroup()).hasValue(600);
  }

  @Test
  void insideAContainerTheGroupIsTheRoot() throws IOException {
    file("proc/self/cgroup", "0::/\n");
    file("sys/fs/cgroup/memory.max", "5000\n");
    file("sys/fs/cgroup/memory.current", "6000\n");
    assertThat(memory.ofControlGroup()).as("over its limit").hasValue(0);
  }

  @Test
  void groupsOfVersionOneCountToo() throws IOException {
    file("proc/self/cgroup", "5:devices:/\n4:cpu,memory:/docker/x\n0::/\n");
    // In a container, the path is that of the machine, and the mount is the group's own.
    file("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
    file("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n");
    file("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 10\n");
    assertThat(memory.ofControlGroup()).hasValue(2010);
    file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assertThat(memory.ofControlGroup()).as("no limit").isEmpty();
  }

  @Test
  void theAddressSpacesLimitCounts() throws IOException {
    file("proc/self/status", "VmPeak:\t 900 kB\nVmSize:\t    200 kB\n");
    file(
        "proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\n"
            + "Max address space         1024000              unlimited            bytes\n");
    assertThat(memory.ofAddressSpace()).hasValue(1_024_000 - 200 * 1024);
    assertThat(memory.available()).hasValue(1_024_000 - 200 * 1024);
    file("proc/self/limits", "Max address space  unlimited  unlimited  bytes\n");
    assertThat(memory.ofAddressSpace()).isEmpty();
  }

  @Test
  void whereThereAreNoSuchFilesNothingIsKnown() {
    assertThat(memory.available()).isEmpty();
    boolean[] made = {false};
    assertThat(memory.growthDuring(() -> made[0] = true)).isEqualTo(OptionalLong.empty());
    assertThat(made[0]).isTrue();
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void growthIsThatOfTheMemoryTakenMeanwhileEvenIfItIsGivenBack() {
    int bytes = 64 << 20;
    OptionalLong growth =
        NativeMemory.ofProcess()
            .growthDuring(
                () -> {
                  ByteBuffer taken = ByteBuffer.allocateDirect(bytes);
                  for (int i = 0; i < bytes; i += 4096) {
                    taken.put(i, (byte) 1);
                  }
                });
    assertThat(growth.orElse(bytes)).isGreaterThanOrEqualTo(bytes);
    assertThat(NativeMemory.ofProcess().available().orElse(1)).isPositive();
  }
}
