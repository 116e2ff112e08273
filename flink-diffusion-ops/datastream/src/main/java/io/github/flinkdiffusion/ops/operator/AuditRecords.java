/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.ops.imaging.Audit;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/** Between audit records as events carry them and as pictures do. */
@Internal
public final class AuditRecords {
  private AuditRecords() {}

  static AuditRecord of(Audit audit) {
    return AuditRecord.newBuilder()
        .setModel(audit.model())
        .setModelDigest(audit.modelDigest())
        .setTask(audit.task())
        .setScheduler(audit.scheduler())
        .setSteps(audit.steps())
        .setSeed(audit.seed())
        .setParameters(audit.parameters())
        .setInputDigests(audit.inputDigests())
        .setSoftwareVersion(audit.softwareVersion())
        .build();
  }

  /** An event's record, to make the result again. */
  public static Audit audit(AuditRecord event) {
    return new Audit(
        event.getModel(),
        event.getModelDigest(),
        event.getTask(),
        event.getScheduler(),
        event.getSteps(),
        event.getSeed(),
        new TreeMap<>(event.getParameters()),
        new TreeMap<>(event.getInputDigests()),
        event.getSoftwareVersion());
  }
}
