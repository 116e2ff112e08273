/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;

/**
 * Examines this machine for a job: {@code java -cp "$FLINK_HOME/lib/*"
 * io.github.flinkdiffusion.ops.doctor.Doctor --help}.
 *
 * <p>Exit codes: 0 when nothing stops a job, 1 when there is an error, 2 when the arguments are
 * wrong.
 *
 * <p>A program: its name and its arguments are for users, its methods are not.
 */
@Internal
public final class Doctor {
  private static final Duration PATIENCE = Duration.ofSeconds(45);
  private static final int WRONG_CONFIGURATION = 1;
  private static final int WRONG_ARGUMENTS = 2;

  private static final String USAGE =
      """
      usage: doctor [--conf FOLDER] [--topics A,B,...] [-Dkey=value]... [--problems]

        --conf FOLDER   Flink's conf/ folder; default: the environment variable FLINK_CONF_DIR, if set
        --topics A,B    topics that the job reads and writes
        -Dkey=value     an option, over those of the folder
        --problems      print errors and warnings only

      Exit code: 0 when nothing stops a job, 1 when there is an error, 2 when the arguments are wrong.
      """;

  private final List<Check> checks;
  private final Duration patience;

  Doctor() {
    this(
        List.of(
            new JavaCheck(),
            new OptionCheck(),
            new EngineCheck(),
            new MemoryCheck(),
            new DiskCheck(),
            new PortCheck(),
            new KafkaCheck(),
            new RegistryCheck(),
            new ModelCheck(),
            new StorageCheck()),
        PATIENCE);
  }

  Doctor(List<Check> checks, Duration patience) {
    this.checks = List.copyOf(checks);
    this.patience = patience;
  }

  public static void main(String[] args) {
    System.exit(run(args, System.out, System.err));
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String[] args, PrintStream out, PrintStream err) {
    Arguments arguments;
    try {
      arguments = Arguments.of(args, System.getenv("FLINK_CONF_DIR"));
    } catch (UnreadableConfiguration e) {
      err.println("error: " + e.getMessage());
      return WRONG_CONFIGURATION;
    } catch (IllegalArgumentException e) {
      err.println("error: " + e.getMessage());
      err.print(USAGE);
      return WRONG_ARGUMENTS;
    }
    if (arguments.help()) {
      out.print(USAGE);
      return 0;
    }
    FileSystem.initialize(
        arguments.config(), PluginUtils.createPluginManagerFromRootFolder(arguments.config()));
    List<Finding> findings =
        new Doctor().examine(Setup.here(arguments.config(), arguments.topics()));
    print(findings, arguments.problemsOnly(), "", out);
    return exitCode(findings);
  }

  /** What all checks find, those of one check together. */
  List<Finding> examine(Setup setup) {
    ExecutorService executor =
        Executors.newCachedThreadPool(
            task -> {
              Thread thread = new Thread(task, "doctor");
              thread.setDaemon(true); // a native library or a mount may never come back
              return thread;
            });
    try {
      List<Finding> findings = new ArrayList<>();
      for (Check check : checks) {
        findings.addAll(examine(setup, check, executor));
      }
      return findings;
    } finally {
      executor.shutdownNow();
    }
  }

  private List<Finding> examine(Setup setup, Check check, ExecutorService executor) {
    Future<List<Finding>> future = executor.submit(() -> check.examine(setup));
    try {
      return future.get(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      future.cancel(true);
      return List.of(
          Finding.error(
              check.name(),
              "The check did not end within %d s.".formatted(patience.toSeconds()),
              "Something that it asks does not answer: look at mounts, drivers and the network."));
    } catch (ExecutionException e) {
      return List.of(
          Finding.error(
              check.name(),
              "The check failed: " + Reason.of(e),
              "Correct what the message names, and run the doctor again."));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return List.of(
          Finding.error(check.name(), "The check was interrupted.", "Run the doctor again."));
    }
  }

  /** Prints findings and how many there are of each level. */
  static void print(List<Finding> findings, boolean problemsOnly, String where, PrintStream out) {
    for (Finding finding : findings) {
      if (problemsOnly && finding.advice().isEmpty()) {
        continue;
      }
      out.printf("%s%-8s %-9s %s%n", where, finding.level(), finding.check(), finding.found());
      if (!finding.advice().isEmpty()) {
        out.printf("%s                   -> %s%n", where, finding.advice());
      }
    }
    out.printf(
        "%s%d errors, %d warnings%n",
        where, count(findings, Finding.Level.ERROR), count(findings, Finding.Level.WARNING));
  }

  static int exitCode(List<Finding> findings) {
    return count(findings, Finding.Level.ERROR) > 0 ? 1 : 0;
  }

  private static long count(List<Finding> findings, Finding.Level level) {
    return findings.stream().filter(finding -> finding.level() == level).count();
  }

  /** Flink's configuration cannot be read. */
  private static final class UnreadableConfiguration extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UnreadableConfiguration(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** The command line. */
  record Arguments(Configuration config, List<String> topics, boolean problemsOnly, boolean help) {
    /**
     * @throws IllegalArgumentException for an argument that there is not
     */
    static Arguments of(String[] args, String confDir) {
      String conf = confDir;
      List<String> topics = List.of();
      boolean problemsOnly = false;
      boolean help = false;
      Configuration options = new Configuration();
      for (int i = 0; i < args.length; i++) {
        String arg = args[i];
        if (arg.equals("--conf")) {
          conf = value(args, ++i);
        } else if (arg.equals("--topics")) {
          topics = List.of(value(args, ++i).split(","));
        } else if (arg.equals("--problems")) {
          problemsOnly = true;
        } else if (arg.equals("--help") || arg.equals("-h")) {
          help = true;
        } else if (arg.startsWith("-D") && arg.indexOf('=') > 2) {
          int at = arg.indexOf('=');
          options.setString(arg.substring(2, at), arg.substring(at + 1));
        } else {
          throw new IllegalArgumentException("There is no argument '%s'.".formatted(arg));
        }
      }
      Configuration config = conf == null || help ? new Configuration() : load(conf);
      config.addAll(options);
      return new Arguments(config, topics, problemsOnly, help);
    }

    private static Configuration load(String folder) {
      try {
        return GlobalConfiguration.loadConfiguration(folder);
      } catch (IllegalConfigurationException e) {
        throw new UnreadableConfiguration(
            "%s Give Flink's conf/ folder with --conf, or FLINK_CONF_DIR.".formatted(Reason.of(e)),
            e);
      } catch (RuntimeException e) {
        throw new UnreadableConfiguration(
            "%s %s Correct the file; Flink does not start with it either."
                .formatted(Path.of(folder, GlobalConfiguration.FLINK_CONF_FILENAME), malformed(e)),
            e);
      }
    }

    /** Flink wraps what its YAML parser says, which has the line and the column. */
    private static String malformed(RuntimeException e) {
      Throwable root = root(e);
      if (root instanceof ClassCastException) {
        return "has no keys with values.";
      }
      // The parser's own type is in a package that Flink renames from version to version.
      String parsed = Reason.of(root).replaceFirst("^\\w*YamlEngineException: ", "");
      return "is not valid YAML: %s.".formatted(parsed);
    }

    private static Throwable root(Throwable failure) {
      return failure.getCause() == null ? failure : root(failure.getCause());
    }

    private static String value(String[] args, int at) {
      if (at == args.length) {
        throw new IllegalArgumentException("%s needs a value.".formatted(args[at - 1]));
      }
      return args[at];
    }
  }
}
