/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** Opens fakes, and remembers them as long as it is not serialized. */
public class FakePipelines implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  public final transient List<FakePipeline> opened = new CopyOnWriteArrayList<>();
  private final String name;
  private final long bytes;
  private final String digest;
  private final TreeMap<String, String> loadedAs;

  public FakePipelines() {
    this(FakePipeline.MODEL);
  }

  public FakePipelines(String digest) {
    this(new ModelInfo("fake", digest));
  }

  public FakePipelines(ModelInfo model) {
    this(model, 0);
  }

  /** A model of that name, whose weights take so much memory. */
  public FakePipelines(ModelInfo model, long bytes) {
    this.name = model.name();
    this.bytes = bytes;
    this.digest = model.digest();
    this.loadedAs = new TreeMap<>(model.loadedAs());
  }

  @Override
  public String model() {
    return name;
  }

  @Override
  public long bytes(String device) {
    return bytes;
  }

  @Override
  public DiffusionPipeline open(String device) {
    FakePipeline pipeline = new FakePipeline(new ModelInfo(name, digest, loadedAs));
    opened.add(pipeline);
    return pipeline;
  }

  public FakePipeline last() {
    return opened.get(opened.size() - 1);
  }
}
