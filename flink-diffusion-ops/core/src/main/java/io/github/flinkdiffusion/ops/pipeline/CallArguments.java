/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.ArrayList;
import java.util.List;

/**
 * What a call shows to a denoising network: samples with their appended channels, timesteps, and
 * the network's further inputs.
 *
 * @param inputs what {@link Row#inputs} holds
 * @param scaleAppended whether the scheduler's input scale applies to the appended channels, too
 * @param appendedFirst whether the appended channels come before the sample's
 * @param logSigma whether the network is told a quarter of the noise level's logarithm as its
 *     timestep
 */
record CallArguments(
    List<Denoiser.Input> inputs, boolean scaleAppended, boolean appendedFirst, boolean logSigma) {
  CallArguments {
    inputs = List.copyOf(inputs);
  }

  CallArguments scalingAppended() {
    return new CallArguments(inputs, true, appendedFirst, logSigma);
  }

  CallArguments withAppendedFirst() {
    return new CallArguments(inputs, scaleAppended, true, logSigma);
  }

  CallArguments withLogSigma() {
    return new CallArguments(inputs, scaleAppended, appendedFirst, true);
  }

  CallArguments and(Denoiser.Input... more) {
    List<Denoiser.Input> all = new ArrayList<>(inputs);
    all.addAll(List.of(more));
    return new CallArguments(all, scaleAppended, appendedFirst, logSigma);
  }

  /**
   * @param parts of the network; inputs of those that are not called are left out
   */
  Tensor[] of(
      List<Denoiser.Shown> batch,
      SampleShape shape,
      NetworkParts parts,
      NetworkParts.Choice choice) {
    List<Row> rows = batch.stream().flatMap(each -> each.rows().stream()).toList();
    int appended = rows.get(0).channels().length;
    int size = shape.size() + appended;
    float[] samples = new float[rows.size() * size];
    float[] timesteps = new float[rows.size()];
    int row = 0;
    for (Denoiser.Shown shown : batch) {
      int first = row * size + (appendedFirst ? appended : 0);
      shown.state().modelInput(samples, first);
      for (Row condition : shown.rows()) {
        int start = row * size + (appendedFirst ? appended : 0);
        if (start != first) {
          System.arraycopy(samples, first, samples, start, shape.size());
        }
        append(
            shown.state(),
            condition.channels(),
            samples,
            appendedFirst ? row * size : start + shape.size());
        timesteps[row] =
            logSigma
                ? logSigma(shown.state())
                : (float) shown.state().plan().timestep(shown.state().call());
        row++;
      }
    }
    List<Tensor> arguments = new ArrayList<>();
    arguments.add(
        new HostTensor.Floats(
            samples,
            rows.size(),
            shape.channels() + appended / shape.plane(),
            shape.height(),
            shape.width()));
    arguments.add(new HostTensor.Floats(timesteps, rows.size()));
    for (int i = 0; i < inputs.size(); i++) {
      if (!parts.isLeftOut(i, choice)) {
        arguments.add(inputs.get(i).tensor(rows, i, shape));
      }
    }
    return arguments.toArray(Tensor[]::new);
  }

  private static float logSigma(SamplerState state) {
    SamplingPlan plan = state.plan();
    int call = state.call();
    return (float) (0.25 * Math.log(plan.noiseLevel(call) / plan.signalLevel(call)));
  }

  private void append(SamplerState state, float[] channels, float[] target, int offset) {
    if (!scaleAppended) {
      System.arraycopy(channels, 0, target, offset, channels.length);
      return;
    }
    double scale = state.plan().inputScale(state.call());
    for (int i = 0; i < channels.length; i++) {
      target[offset + i] = (float) (scale * channels[i]);
    }
  }
}
