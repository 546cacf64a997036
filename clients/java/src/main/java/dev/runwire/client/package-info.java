/** Logs runs to a Runwire server, and reads them back. */
package dev.runwire.client;
