/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DecodingMemoryTest {
  private final DecodingMemory memory = new DecodingMemory(100);

  @Test
  void memoryIsGrantedInTheOrderInWhichItWasAskedFor() {
    DecodingMemory.Reservation first = memory.reserve(60);
    DecodingMemory.Reservation large = memory.reserve(50);
    DecodingMemory.Reservation small = memory.reserve(10);
    assertThat(first.granted()).isDone();
    assertThat(large.granted()).isNotDone();
    assertThat(small.granted()).as("does not pass the large one").isNotDone();

    first.close();
    assertThat(large.granted()).isDone();
    assertThat(small.granted()).isDone();
  }

  @Test
  void whoGivesUpWaitingLetsOthersPass() {
    DecodingMemory.Reservation first = memory.reserve(60);
    DecodingMemory.Reservation large = memory.reserve(50);
    DecodingMemory.Reservation small = memory.reserve(40);
    large.close();
    assertThat(small.granted()).isDone();
    first.close();
    first.close();
    small.close();
    assertThat(memory.reserve(100).granted()).isDone();
  }

  @Test
  void neverIsMoreTakenThanThereIs() {
    Random random = new Random(7);
    List<DecodingMemory.Reservation> open = new ArrayList<>();
    List<Integer> sizes = new ArrayList<>();
    for (int i = 0; i < 10_000; i++) {
      if (open.isEmpty() || random.nextBoolean()) {
        sizes.add(random.nextInt(101));
        open.add(memory.reserve(sizes.get(sizes.size() - 1)));
      } else {
        int which = random.nextInt(open.size());
        open.remove(which).close();
        sizes.remove(which);
      }
      int held = 0;
      boolean passed = false;
      for (int r = 0; r < open.size(); r++) {
        boolean granted = open.get(r).granted().isDone();
        assertThat(granted && passed).as("order").isFalse();
        passed |= !granted;
        held += granted ? sizes.get(r) : 0;
      }
      assertThat(held).isLessThanOrEqualTo(100);
      assertThat(open.isEmpty() || open.get(0).granted().isDone()).as("goes on").isTrue();
    }
  }

  @Test
  void anImageThatNeverFitsIsRefusedByItsHeader() {
    byte[] png = PngCodec.encode(new Raster(1, 8, 8, new float[64]));
    assertThatThrownBy(() -> memory.read(png, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("takes 320 bytes of heap; at most 100");
    DecodingMemory enough = new DecodingMemory(320);
    assertThat(enough.read(png, ReadOptions.DEFAULT).width()).isEqualTo(8);
    assertThat(enough.reserve(320).granted()).as("given back").isDone();
  }

  @Test
  void aTasksThreadReadsWithoutWaitingForOthers() {
    byte[] png = PngCodec.encode(Raster.filled(3, 8, 8, 0.5f));
    DecodingMemory all = new DecodingMemory(1 << 20);
    DecodingMemory.Reservation others = all.reserve(1 << 20);
    assertThat(all.readAtOnce(png, ReadOptions.DEFAULT).width()).isEqualTo(8);
    DecodingMemory.Reservation next = all.reserve(1 << 20);
    assertThat(next.granted()).isNotDone();
    others.close();
    assertThat(next.granted()).as("what was read is given back").isDone();
    assertThatThrownBy(() -> memory.readAtOnce(png, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("bytes of heap; at most 100");
  }
}
