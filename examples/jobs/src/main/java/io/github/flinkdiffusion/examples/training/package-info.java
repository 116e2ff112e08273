/** What the programs that train models share. */
package io.github.flinkdiffusion.examples.training;
