/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;

/**
 * How the commands end: 0 when all was done, 1 when something failed, with one line on standard
 * error that says what, and 2 when the arguments are wrong.
 */
final class DemoCommand {
  /** Read by the log configuration. */
  private static final String LOG_FILE = "flinkdiffusion.log";

  private static final String LOG_CONFIGURATION = "log4j2.configurationFile";
  private static final int FAILED = 1;

  private DemoCommand() {}

  /** Runs a command and returns the exit code. */
  static int run(Callable<Integer> command, String... args) {
    CommandLine line = new CommandLine(command);
    line.setExecutionExceptionHandler((error, given, parsed) -> failed(command, error));
    line.setParameterExceptionHandler(
        (error, given) -> {
          System.err.println("error: " + error.getMessage() + "; --help lists the options.");
          return CommandLine.ExitCode.USAGE;
        });
    try {
      return line.execute(args);
    } catch (Error e) {
      return failed(command, e);
    }
  }

  private static int failed(Object command, Throwable error) {
    System.err.println("error: " + ErrorLine.of(error));
    if (System.getProperty(LOG_FILE) != null) {
      LoggerFactory.getLogger(command.getClass()).error("The run failed.", error);
      System.err.println("Details are in " + System.getProperty(LOG_FILE));
    }
    return FAILED;
  }

  /** Where the log goes; nothing may log before, since the first logger opens the file. */
  static void logTo(Path file) {
    System.setProperty(LOG_FILE, file.toString());
    System.getProperties().putIfAbsent(LOG_CONFIGURATION, "classpath:log4j2-demo.properties");
  }
}
