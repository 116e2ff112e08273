/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;

/**
 * A measure of images and their texts: a row has an array of each.
 *
 * @param <A> what is kept of a group
 */
@Internal
public abstract class PairAggregate<A extends GroupAggregate.Group> extends GroupAggregate<A> {
  private static final long serialVersionUID = 1L;

  PairAggregate(String name, boolean failing) {
    super(name, failing);
  }

  public void accumulate(
      A group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData images,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData texts) {
    arrays.usePair(images, texts, group.lengths, vector -> add(group, vector));
  }

  public void retract(
      A group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData images,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData texts) {
    arrays.usePair(images, texts, group.lengths, vector -> remove(group, vector));
  }
}
