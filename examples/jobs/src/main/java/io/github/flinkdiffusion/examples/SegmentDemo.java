package io.github.flinkdiffusion.examples;

import picocli.CommandLine.Command;

/** Slices of a head, and where the brain is. */
@Command(
    name = "examples/segment",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Sends medical slices through Kafka and Flink, and leaves a mask of each, with an uncertainty"
          + " and a contact sheet.",
      "Starts a Kafka broker and a Flink cluster in this process.",
      ""
    })
public final class SegmentDemo extends ImageDemo {
  private SegmentDemo() {
    super("mini-brain-mask", "slice-\\d+\\.png", 4);
  }

  public static void main(String[] args) {
    System.exit(run(args));
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new SegmentDemo(), args);
  }

  @Override
  ImageReport.Sheet sheet() {
    return ImageReport.Sheet.SEGMENTED;
  }
}
